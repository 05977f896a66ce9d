/* Certificates cut into their raw parts, for whoever reads or signs thousands of them; `der.py` is the specification.

   parse(der, Certificate, Extension) gives what `parse_certificate` gives, and elements(der) what `elements` gives. Both
   give None where anything is not as nearly all of it is: then the reading in Python says what this is, or what is wrong
   with it. Every offset is compared with the end of what holds it before it is used. No dependency; Python's stable ABI
   of 3.11. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    BOOLEAN = 0x01, INTEGER = 0x02, BIT_STRING = 0x03, OCTET_STRING = 0x04, OBJECT_IDENTIFIER = 0x06,
    SEQUENCE = 0x30, VERSION = 0xA0, EXTENSIONS = 0xA3, MAX_ELEMENTS = 64
};

/* One element: it begins at `at`, its content is [lo, hi). */
typedef struct {
    size_t at, lo, hi;
} Element;

/* `der.read_tlv`: the element at `at`, which must end at or before `stop`. */
static int read_any(const uint8_t *data, size_t at, size_t stop, Element *found) {
    if (at > stop || stop - at < 2 || (data[at] & 0x1F) == 0x1F) return 0;
    size_t length = data[at + 1], lo = at + 2;
    if (length >= 0x80) {
        size_t octets = length & 0x7F;
        if (octets == 0 || octets > 4 || stop - lo < octets) return 0;
        for (length = 0; octets--; lo++) {
            if (!length && !data[lo]) return 0; /* not minimal */
            length = length << 8 | data[lo];
        }
        if (length < 0x80) return 0;
    }
    if (length > stop - lo) return 0;
    *found = (Element){at, lo, lo + length};
    return 1;
}

static int read_one(const uint8_t *data, size_t at, size_t stop, uint8_t tag, Element *found) {
    return at < stop && data[at] == tag && read_any(data, at, stop, found);
}

static PyObject *bytes_of(const uint8_t *data, size_t from, size_t to) {
    return PyBytes_FromStringAndSize((const char *)data + from, (Py_ssize_t)(to - from));
}

static PyObject *whole(const uint8_t *data, Element element) { return bytes_of(data, element.at, element.hi); }
static PyObject *inside(const uint8_t *data, Element element) { return bytes_of(data, element.lo, element.hi); }

/* An instance of a NamedTuple. Takes the references in `fields`, of which none may be NULL unless an error is set. */
static PyObject *instance(PyTypeObject *type, PyObject **fields, Py_ssize_t count) {
    int complete = 1;
    for (Py_ssize_t i = 0; i < count; i++) complete &= fields[i] != NULL;
    allocfunc allocate = complete ? (allocfunc)PyType_GetSlot(type, Py_tp_alloc) : NULL;
    PyObject *made = allocate ? allocate(type, count) : NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (made) PyTuple_SetItem(made, i, fields[i]); /* takes it */
        else Py_XDECREF(fields[i]);
    return made;
}

/* --- validity ---------------------------------------------------------------------------------------------------- */

/* `der._utc_time` of 13 octets: milliseconds since 1970. Returns 0 where there is no such time. */
static int read_utc(const uint8_t *text, long long *ms) {
    int part[6];
    for (int i = 0; i < 6; i++) {
        int tens = text[2 * i] - '0', ones = text[2 * i + 1] - '0';
        if (tens < 0 || tens > 9 || ones < 0 || ones > 9) return 0;
        part[i] = 10 * tens + ones;
    }
    int year = part[0] + (part[0] >= 50 ? 1900 : 2000), month = part[1], day = part[2];
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (text[12] != 'Z' || month < 1 || month > 12 || day < 1 || day > DAYS[month - 1] + (leap && month == 2)) return 0;
    if (part[3] > 23 || part[4] > 59 || part[5] > 59) return 0;
    long long days = 365LL * (year - 1970) + (year - 1901) / 4 - 17 + day - 1; /* 17 leap years from 1901 to 1969 */
    for (int at = 0; at < month - 1; at++) days += DAYS[at];
    days += leap && month > 2;
    *ms = (((days * 24 + part[3]) * 60 + part[4]) * 60 + part[5]) * 1000;
    return 1;
}

/* Two UTCTimes, as all have that end before 2050. */
static int read_validity(const uint8_t *data, Element validity, long long *since, long long *until) {
    const uint8_t *at = data + validity.lo;
    if (validity.hi - validity.lo != 30 || at[0] != 0x17 || at[1] != 13 || at[15] != 0x17 || at[16] != 13) return 0;
    return read_utc(at + 2, since) && read_utc(at + 17, until);
}

/* --- a certificate ------------------------------------------------------------------------------------------------ */

/* `der.read_extension`; NULL without an error where it is refused. */
static PyObject *extension_at(const uint8_t *data, size_t at, size_t stop, PyTypeObject *type, size_t *end) {
    Element outer, oid, flag, value;
    if (!read_one(data, at, stop, SEQUENCE, &outer)) return NULL;
    if (!read_one(data, outer.lo, outer.hi, OBJECT_IDENTIFIER, &oid)) return NULL;
    size_t next = oid.hi;
    int critical = 0;
    if (read_one(data, next, outer.hi, BOOLEAN, &flag)) {
        for (size_t i = flag.lo; i < flag.hi; i++) critical |= data[i];
        next = flag.hi;
    }
    if (!read_one(data, next, outer.hi, OCTET_STRING, &value) || value.hi != outer.hi) return NULL;
    PyObject *fields[] = {inside(data, oid), PyBool_FromLong(critical), inside(data, value), whole(data, outer)};
    PyObject *made = instance(type, fields, 4);
    if (made) *end = outer.hi;
    return made;
}

static PyObject *extensions_in(const uint8_t *data, Element all, PyTypeObject *type) {
    PyObject *found[MAX_ELEMENTS];
    Py_ssize_t count = 0;
    size_t at = all.lo;
    while (at < all.hi && count < MAX_ELEMENTS && (found[count] = extension_at(data, at, all.hi, type, &at))) count++;
    PyObject *tuple = at == all.hi ? PyTuple_New(count) : NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (tuple) PyTuple_SetItem(tuple, i, found[i]); /* takes it */
        else Py_DECREF(found[i]);
    return tuple;
}

static PyObject *certificate(PyObject *der, const uint8_t *data, size_t size, PyTypeObject *type, PyTypeObject *part) {
    enum { SERIAL, INNER, ISSUER, VALIDITY, SUBJECT, SPKI, FIELDS };
    static const uint8_t TAGS[FIELDS] = {INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE};
    Element outer, tbs, algorithm, signature, version, field[FIELDS], wrapper, all;
    if (!read_one(data, 0, size, SEQUENCE, &outer) || outer.hi != size) return NULL;
    if (!read_one(data, outer.lo, size, SEQUENCE, &tbs)) return NULL;
    if (!read_one(data, tbs.hi, size, SEQUENCE, &algorithm)) return NULL;
    if (!read_one(data, algorithm.hi, size, BIT_STRING, &signature) || signature.hi != size) return NULL;
    if (signature.lo == size || data[signature.lo]) return NULL;
    if (!read_one(data, tbs.lo, tbs.hi, VERSION, &version)) return NULL;
    if (version.hi - version.lo != 3 || memcmp(data + version.lo, "\2\1\2", 3)) return NULL; /* version 3 */
    size_t at = version.hi;
    for (int i = 0; i < FIELDS; at = field[i++].hi)
        if (!read_one(data, at, tbs.hi, TAGS[i], &field[i])) return NULL;
    if (!read_one(data, at, tbs.hi, EXTENSIONS, &wrapper) || wrapper.hi != tbs.hi) return NULL;
    if (!read_one(data, wrapper.lo, wrapper.hi, SEQUENCE, &all) || all.hi != wrapper.hi) return NULL;
    long long since, until;
    if (!read_validity(data, field[VALIDITY], &since, &until)) return NULL;
    PyObject *extensions = extensions_in(data, all, part);
    if (!extensions) return NULL;
    PyObject *fields[] = {
        Py_NewRef(der), whole(data, tbs), whole(data, algorithm), bytes_of(data, signature.lo + 1, size),
        whole(data, field[INNER]), PyLong_FromLong(3), inside(data, field[SERIAL]), whole(data, field[ISSUER]),
        whole(data, field[VALIDITY]), PyLong_FromLongLong(since), PyLong_FromLongLong(until),
        whole(data, field[SUBJECT]), whole(data, field[SPKI]), extensions, PyLong_FromSize_t(tbs.lo),
        PyLong_FromSize_t(field[ISSUER].at), PyLong_FromSize_t(wrapper.at)};
    return instance(type, fields, sizeof fields / sizeof *fields);
}

static PyObject *or_none(PyObject *found) { return found || PyErr_Occurred() ? found : Py_NewRef(Py_None); }

static PyObject *parse(PyObject *module, PyObject *arguments) {
    PyObject *der, *type, *part;
    char *data;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "SO!O!", &der, &PyType_Type, &type, &PyType_Type, &part)) return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type) || !PyType_IsSubtype((PyTypeObject *)part, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "parse fills tuples");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(der, &data, &size)) return NULL;
    return or_none(certificate(der, (const uint8_t *)data, (size_t)size, (PyTypeObject *)type, (PyTypeObject *)part));
}

static PyObject *elements(PyObject *module, PyObject *der) {
    Element outer, found[MAX_ELEMENTS];
    char *bytes;
    Py_ssize_t size;
    int count = 0;
    (void)module;
    if (PyBytes_AsStringAndSize(der, &bytes, &size)) return NULL;
    const uint8_t *data = (const uint8_t *)bytes;
    if (!read_any(data, 0, (size_t)size, &outer) || outer.hi != (size_t)size) return Py_NewRef(Py_None);
    size_t at = outer.lo;
    while (at < outer.hi && count < MAX_ELEMENTS && read_any(data, at, outer.hi, &found[count])) at = found[count++].hi;
    if (at < outer.hi) return Py_NewRef(Py_None);
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *element = whole(data, found[i]);
        if (element) PyList_SetItem(list, i, element); /* takes it */
        else Py_CLEAR(list);
    }
    return list;
}

static PyMethodDef METHODS[] = {
    {"parse", parse, METH_VARARGS, "parse(der, Certificate, Extension, /)\n--\n\nCuts a certificate into its parts."},
    {"elements", elements, METH_O, "elements(der, /)\n--\n\nThe elements inside of one."},
    {NULL, NULL, 0, NULL}};

static int switched(PyObject *module) {
    (void)module;
    const char *off = getenv("CTLOG_NO_KERNEL");
    if (!off || !*off) return 0;
    PyErr_SetString(PyExc_ImportError, "the C code is switched off by CTLOG_NO_KERNEL");
    return -1;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)switched}, {0, NULL}};
static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "ctlog.x509._der", .m_doc = "Certificates, cut.",
                             .m_methods = METHODS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit__der(void) { return PyModuleDef_Init(&MODULE); }
