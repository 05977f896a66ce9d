/* Cutting data tiles (static-ct-api), for whoever reads every byte of a log; `static_ct.py` is the specification.

   leaves_and_chains(data) gives, of each entry of a data tile, the MerkleTreeLeaf and the fingerprints of its chain,
   joined; columns(data) also the certificate or precertificate as submitted. Both give None where anything is not as
   nearly all of it is: then the reading in Python says what this is. Every offset is compared with the end of the tile
   before it is used. No dependency; Python's stable ABI of 3.11. */

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

static PyObject *chain_of(const uint8_t *data, const Entry *entry) {
    return PyBytes_FromStringAndSize((const char *)data + entry->chain, (Py_ssize_t)(entry->stop - entry->chain));
}

/* A certificate stands in the leaf, before 2 + 8 bytes of extensions; a precertificate between leaf and chain. */
static PyObject *submitted_of(const uint8_t *data, const Entry *entry) {
    int is_precert = data[entry->start + 9];
    size_t from = is_precert ? entry->leaf_end + 3 : entry->start + 13;
    size_t to = is_precert ? entry->chain - 2 : entry->leaf_end - 10;
    return PyBytes_FromStringAndSize((const char *)data + from, (Py_ssize_t)(to - from));
}

typedef PyObject *Part(const uint8_t *data, const Entry *entry);
static Part *const PARTS[] = {leaf_of, chain_of, submitted_of};

static PyObject *list_of(const uint8_t *data, const Entry *entries, int count, Part *part) {
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *item = part(data, &entries[i]);
        if (item) PyList_SetItem(list, i, item); /* takes it */
        else Py_CLEAR(list);
    }
    return list;
}

/* A tuple of the first so many of PARTS, each as a list. */
static PyObject *lists(PyObject *object, int parts) {
    Py_buffer view;
    Entry entries[TILE_WIDTH];
    int count = 0;
    size_t at = 0;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE)) return NULL;
    const uint8_t *data = view.buf;
    size_t size = (size_t)view.len;
    for (; at < size && count < TILE_WIDTH && cut(data, at, size, &entries[count]); count++) at = entries[count].stop;
    PyObject *found = at == size ? PyTuple_New(parts) : Py_NewRef(Py_None);
    for (int i = 0; found && at == size && i < parts; i++) {
        PyObject *list = list_of(data, entries, count, PARTS[i]);
        if (list) PyTuple_SetItem(found, i, list); /* takes it */
        else Py_CLEAR(found);
    }
    PyBuffer_Release(&view);
    return found;
}

static PyObject *leaves_and_chains(PyObject *module, PyObject *object) {
    (void)module;
    return lists(object, 2);
}

static PyObject *columns(PyObject *module, PyObject *object) {
    (void)module;
    return lists(object, 3);
}

static PyMethodDef METHODS[] = {
    {"leaves_and_chains", leaves_and_chains, METH_O, "leaves_and_chains(data, /)\n--\n\nCuts a data tile."},
    {"columns", columns, METH_O, "columns(data, /)\n--\n\nCuts a data tile, with what was submitted."},
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
