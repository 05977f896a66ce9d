/* Cutting data tiles (static-ct-api), for whoever reads every byte of a log; `static_ct.py` is the specification.

   leaves_and_chains(data) gives, of each entry of a data tile, the MerkleTreeLeaf and the fingerprints of its chain,
   joined; or None where anything is not as nearly all of it is: then the reading in Python says what this is. Every
   offset is compared with the end of the tile before it is used. No dependency; Python's stable ABI of 3.11. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_WIDTH = 256 };

typedef struct {
    size_t start, leaf_end, chain, stop;
} Entry;

static size_t number(const uint8_t *at, int octets) {
    size_t value = 0;
    while (octets--) value = value << 8 | *at++;
    return value;
}

/* `static_ct._walk`, of the entry at `at`. */
static int cut(const uint8_t *data, size_t at, size_t size, Entry *entry) {
    size_t head = 13;
    if (size - at < head || data[at + 8] || data[at + 9] > 1) return 0;
    int is_precert = data[at + 9];
    if (is_precert) head = 45;
    if (size - at < head) return 0;
    size_t length = number(data + at + head - 3, 3), left = size - at - head;
    if (!length || length > left || left - length < 10) return 0;
    size_t behind = at + head + length;
    if (number(data + behind, 2) != 8) return 0; /* extensions: a leaf index, in every log of this kind */
    size_t next = behind + 10;
    if (is_precert) {
        if (size - next < 3) return 0;
        length = number(data + next, 3), next += 3;
        if (!length || length > size - next) return 0;
        next += length;
    }
    if (size - next < 2) return 0;
    length = number(data + next, 2), next += 2;
    if (length % 32 || length > size - next) return 0;
    *entry = (Entry){at, behind + 10, next, next + length};
    return 1;
}

static PyObject *leaf_of(const uint8_t *data, const Entry *entry) {
    size_t size = entry->leaf_end - entry->start;
    PyObject *leaf = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size + 2);
    char *bytes = leaf ? PyBytes_AsString(leaf) : NULL;
    if (!bytes) return NULL;
    bytes[0] = bytes[1] = 0; /* version v1, timestamped_entry */
    memcpy(bytes + 2, data + entry->start, size);
    return leaf;
}

static PyObject *leaves_and_chains(PyObject *module, PyObject *object) {
    (void)module;
    Py_buffer view;
    Entry entries[TILE_WIDTH];
    int count = 0;
    size_t at = 0;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE)) return NULL;
    const uint8_t *data = view.buf;
    size_t size = (size_t)view.len;
    for (; at < size && count < TILE_WIDTH && cut(data, at, size, &entries[count]); count++) at = entries[count].stop;
    PyObject *leaves = NULL, *chains = NULL, *found = NULL;
    if (at != size) found = Py_NewRef(Py_None);
    else if ((leaves = PyList_New(count)) && (chains = PyList_New(count))) {
        found = PyTuple_Pack(2, leaves, chains);
        for (int i = 0; found && i < count; i++) {
            const Entry *entry = &entries[i];
            PyObject *leaf = leaf_of(data, entry);
            PyObject *chain = PyBytes_FromStringAndSize((const char *)data + entry->chain,
                                                        (Py_ssize_t)(entry->stop - entry->chain));
            if (!leaf || !chain) Py_CLEAR(found);
            PyList_SetItem(leaves, i, leaf), PyList_SetItem(chains, i, chain); /* takes them, whatever they are */
        }
    }
    Py_XDECREF(leaves), Py_XDECREF(chains);
    PyBuffer_Release(&view);
    return found;
}

static PyMethodDef METHODS[] = {
    {"leaves_and_chains", leaves_and_chains, METH_O, "leaves_and_chains(data, /)\n--\n\nCuts a data tile."},
    {NULL, NULL, 0, NULL}};

static int switched(PyObject *module) {
    (void)module;
    const char *off = getenv("CTLOG_NO_KERNEL");
    if (!off || !*off) return 0;
    PyErr_SetString(PyExc_ImportError, "the C code is switched off by CTLOG_NO_KERNEL");
    return -1;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)switched}, {0, NULL}};
static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "ctlog.wire._static_ct", .m_doc = "Data tiles, cut.",
                             .m_methods = METHODS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit__static_ct(void) { return PyModuleDef_Init(&MODULE); }
