// An importable module with nothing in it, made with the limited API: importing it loads the shared object, whose
// static initialisers register operators with torch. It stands where PYBIND11_MODULE stood.
//
// SPDX-License-Identifier: Apache-2.0
//
// Use once in a shared object, at namespace scope:
//
//     WHEELFUSE_MODULE(_C)        // gives PyInit__C
//
// and name the file _C.abi3.so: it loads on every CPython from 3.10 on, but not on free-threaded ones.
#pragma once

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#include <Python.h>

#define WHEELFUSE_MODULE(name)                                     \
  PyMODINIT_FUNC PyInit_##name(void) {                             \
    static PyModuleDef_Slot slots[] = {{0, nullptr}};              \
    static PyModuleDef definition = {                              \
        PyModuleDef_HEAD_INIT, #name, nullptr, 0, nullptr, slots, nullptr, nullptr, nullptr}; \
    return PyModuleDef_Init(&definition);                          \
  }
