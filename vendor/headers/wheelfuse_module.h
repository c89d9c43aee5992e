// SPDX-License-Identifier: Apache-2.0
//
// An importable module with nothing in it, made with the limited API of CPython 3.10. Importing it loads its shared
// object, whose static initialisers register operators with torch: it stands where PYBIND11_MODULE stood.
//
//     WHEELFUSE_MODULE(_C)  // once in a shared object, outside of all namespaces: gives PyInit__C
//
// The file is named _C.abi3.so, and loads on CPython 3.10 and newer; not on free-threaded builds, which have another
// stable ABI.
#pragma once

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#include <Python.h>

#define WHEELFUSE_MODULE(name)                                                                                \
  PyMODINIT_FUNC PyInit_##name(void) {                                                                        \
    static PyModuleDef_Slot slots[] = {{0, nullptr}};                                                         \
    static PyModuleDef definition = {                                                                         \
        PyModuleDef_HEAD_INIT, #name, nullptr, 0, nullptr, slots, nullptr, nullptr, nullptr};                 \
    return PyModuleDef_Init(&definition);                                                                     \
  }
