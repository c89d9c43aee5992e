#include <Python.h>

static int execute(PyObject *module) {
    return PyModule_AddStringConstant(module, "built_for", PY_VERSION);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "tinyext._c", .m_slots = slots};

PyMODINIT_FUNC PyInit__c(void) { return PyModuleDef_Init(&definition); }
