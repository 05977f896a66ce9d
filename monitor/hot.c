/* The monitor's hot path in batches; the Python functions of the same work are the specification of every one here.

   In scope: what a follower does to every entry of a log, whoever is concerned: cutting a leaf into its parts
   (`monitor/glance.py`), the records that history keeps of it (`monitor/follow/collect.py`), putting records in order
   (`monitor/history_files.py`), and leaving out what can concern nobody (`monitor/number_index.py`). Whatever is not in
   its usual form is left to Python, which decides. Out of scope: hashing (`ctlog/merkle/kernel.c`). No dependency;
   Python's stable ABI of 3.11. In the order of reading:

     1. DER: a header at a time, strict, never beyond `stop`
     2. a leaf's parts        glance(leaves, known, learn, Glance, Label, one, prefix, authorities)
     3. records               records(log, lo, leaves, glances, issuers, keys, holders, holder, period, label_key)
     4. in order, each once   sort_records(records)
     5. candidates            candidates(glances, known, numbers, los, reach, lengths, heads)

   Logs are written by strangers: every offset that comes out of a leaf was compared with its end before it is used. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t lo, hi;
} Span;

static uint64_t big_endian(const uint8_t *at, size_t octets) {
    uint64_t value = 0;
    for (size_t i = 0; i < octets; i++) value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, uint64_t value, int octets) {
    while (octets--) at[octets] = (uint8_t)value, value >>= 8;
}

/* --- 1. DER --------------------------------------------------------------------------------------------------------- */

/* `ctlog.x509.der.expect`: the content of the element with this tag at `at`, which ends at or before `stop`. */
static int expect(const uint8_t *data, size_t at, size_t stop, uint8_t tag, Span *content) {
    if (stop < at || stop - at < 2 || data[at] != tag) return 0;
    size_t length = data[at + 1], lo = at + 2;
    if (length >= 0x80) {
        size_t octets = length & 0x7F;
        if (octets == 0 || octets > 4 || octets > stop - lo) return 0;
        length = (size_t)big_endian(data + lo, octets);
        if (length < 0x80 || length >> (8 * (octets - 1)) == 0) return 0; /* not minimal */
        lo += octets;
    }
    if (length > stop - lo) return 0;
    content->lo = lo, content->hi = lo + length;
    return 1;
}

/* --- 2. a leaf's parts ---------------------------------------------------------------------------------------------- */

enum { MAX_FORMS = 8, MAX_EXTENSIONS = 40 };
static const uint8_t LIST[] = {0x2b, 6, 1, 5, 5, 7, 1, 26};  /* TNAuthList, RFC 8226 section 9 */
static const uint8_t ACCESS[] = {0x2b, 6, 1, 5, 5, 7, 1, 1}; /* AuthorityInfoAccess, section 10.1 */
static const uint8_t NAMES[] = {0x55, 0x1d, 0x11};           /* SubjectAltName, GSMA RCC.16 */

/* Offsets into a leaf; `forms` are the extensions that may name numbers, whole. */
typedef struct {
    Span issuer, validity, subject, spki, forms[MAX_FORMS];
    int count, is_authority; /* it says to be a CA's */
} Parts;

static int is_form(const uint8_t *oid, size_t size) {
    return (size == sizeof LIST && (!memcmp(oid, LIST, size) || !memcmp(oid, ACCESS, size))) ||
           (size == sizeof NAMES && !memcmp(oid, NAMES, size));
}

/* `monitor.glance.says_authority`: cA TRUE, or keyCertSign, as DER writes them (RFC 5280 sections 4.2.1.9 and 4.2.1.3). */
static int says_authority(const uint8_t *oid, size_t size, const uint8_t *value, size_t count) {
    if (size != 3 || oid[0] != 0x55 || oid[1] != 0x1d) return 0;
    if (oid[2] == 19) return count >= 5 && value[0] == 0x30 && value[2] == 1 && value[3] == 1 && value[4];
    return oid[2] == 15 && count >= 4 && value[0] == 3 && value[3] & 4;
}

/* `ctlog.x509.der.read_extension`, of all of them. */
static int walk_extensions(const uint8_t *leaf, size_t at, size_t end, Parts *parts) {
    parts->count = parts->is_authority = 0;
    for (int n = 0; n < MAX_EXTENSIONS && at != end; n++) {
        Span whole, oid, flag, value;
        if (!expect(leaf, at, end, 0x30, &whole) || !expect(leaf, whole.lo, whole.hi, 6, &oid)) return 0;
        size_t next = oid.hi;
        if (next < whole.hi && leaf[next] == 1) {
            if (!expect(leaf, next, whole.hi, 1, &flag)) return 0;
            next = flag.hi;
        }
        if (!expect(leaf, next, whole.hi, 4, &value) || value.hi != whole.hi) return 0;
        parts->is_authority |= says_authority(leaf + oid.lo, oid.hi - oid.lo, leaf + value.lo, value.hi - value.lo);
        if (is_form(leaf + oid.lo, oid.hi - oid.lo)) {
            if (parts->count == MAX_FORMS) return 0;
            parts->forms[parts->count++] = (Span){at, whole.hi};
        }
        at = whole.hi;
    }
    return at == end;
}

/* `monitor.glance._walk`: an ordinary certificate of version 3 in good DER, in a MerkleTreeLeaf. */
static int walk(const uint8_t *leaf, size_t size, Parts *parts) {
    if (size < 17 || leaf[0] || leaf[1] || leaf[10] || leaf[11] > 1) return 0;
    size_t start = leaf[11] ? 47 : 15;
    if (size < start + 2) return 0;
    size_t stop = start + (size_t)big_endian(leaf + start - 3, 3);
    if (stop > size - 2 || stop + 2 + (size_t)big_endian(leaf + stop, 2) != size) return 0;
    size_t at = start, end = stop;
    Span part;
    if (!leaf[11]) {
        Span outer, tbs, algorithm, signature;
        if (!expect(leaf, start, stop, 0x30, &outer) || outer.hi != stop) return 0;
        if (!expect(leaf, outer.lo, stop, 0x30, &tbs) || !expect(leaf, tbs.hi, stop, 0x30, &algorithm)) return 0;
        if (!expect(leaf, algorithm.hi, stop, 3, &signature) || signature.hi != stop) return 0;
        if (signature.lo == stop || leaf[signature.lo]) return 0;
        at = outer.lo, end = tbs.hi;
    }
    if (!expect(leaf, at, end, 0x30, &part) || part.hi != end || end - part.lo < 5) return 0;
    if (memcmp(leaf + part.lo, "\xa0\x03\x02\x01\x02", 5)) return 0;
    if (!expect(leaf, part.lo + 5, end, 2, &part)) return 0; /* serial number */
    if (!expect(leaf, part.hi, end, 0x30, &part)) return 0;  /* algorithm */
    Span *const names[] = {&parts->issuer, &parts->validity, &parts->subject, &parts->spki};
    for (int i = 0; i < 4; i++) {
        size_t before = part.hi;
        if (!expect(leaf, before, end, 0x30, &part)) return 0;
        *names[i] = (Span){before, part.hi};
    }
    if (!expect(leaf, part.hi, end, 0xa3, &part) || part.hi != end) return 0;
    if (!expect(leaf, part.lo, end, 0x30, &part) || part.hi != end) return 0;
    return walk_extensions(leaf, part.lo, end, parts);
}

/* Whether the elements of `tags`, one inside the other from f[at] on, end with `size`: each length one octet. */
static int is_nested(const uint8_t *f, size_t size, size_t at, const uint8_t *tags, size_t count) {
    for (size_t i = 0; i < count; i++, at += 2)
        if (f[at] != tags[i] || f[at + 1] != size - at - 2) return 0;
    return 1;
}

/* Whether a common name may say a code ("SHAKEN 709J"), in any of the encodings that a Name may have. */
static int may_say_code(const uint8_t *subject, size_t size) {
    if (memchr(subject, 0, size)) return 1;
    for (size_t i = 0; i + 6 <= size; i++) {
        if ((subject[i] | 32) != 's') continue;
        size_t k = 1;
        while (k < 6 && (subject[i + k] | 32) == "shaken"[k]) k++;
        if (k == 6) return 1;
    }
    return 0;
}

/* `monitor.glance._plain_labels`: the 7 to 15 digits of the one number in this extension, else an empty span. */
static Span plain_number(const uint8_t *leaf, const Parts *parts) {
    static const uint8_t in_list[] = {4, 0x30, 0xa2, 0x16}, in_names[] = {4, 0x30, 0x86};
    const Span none = {0, 0};
    const uint8_t *f = leaf + parts->forms[0].lo;
    size_t size = parts->forms[0].hi - parts->forms[0].lo, head;
    if (parts->count != 1 || size < 25 || size >= 0x80 || f[0] != 0x30 || f[1] != size - 2 || f[2] != 6) return none;
    if (f[3] == sizeof NAMES && !memcmp(f + 4, NAMES, sizeof NAMES)) {
        head = 18;
        if (!is_nested(f, size, 7, in_names, 3) || memcmp(f + 13, "tel:+", 5)) return none;
    } else if (f[3] == sizeof LIST && !memcmp(f + 4, LIST, sizeof LIST)) {
        head = 20;
        if (!is_nested(f, size, 12, in_list, 4)) return none;
        if (may_say_code(leaf + parts->subject.lo, parts->subject.hi - parts->subject.lo)) return none;
    } else return none;
    if (size < head + 7 || size > head + 15 || f[head] == '0') return none;
    for (size_t i = head; i < size; i++)
        if (f[i] < '0' || f[i] > '9') return none;
    return (Span){parts->forms[0].lo + head, parts->forms[0].hi};
}

typedef struct {
    uint64_t lo, hi; /* numbers, half open */
    size_t width;    /* their digits */
} Range;

/* `ctlog.tn.tnauthlist` of one range with its country code and nothing else, each length one octet. */
static int plain_range(const uint8_t *leaf, const Parts *parts, Range *range) {
    static const uint8_t in_list[] = {4, 0x30, 0xa1, 0x30};
    const uint8_t *f = leaf + parts->forms[0].lo;
    size_t size = parts->forms[0].hi - parts->forms[0].lo;
    if (parts->count != 1 || size < 26 || size >= 0x80 || f[0] != 0x30 || f[1] != size - 2 || f[2] != 6) return 0;
    if (f[3] != sizeof LIST || memcmp(f + 4, LIST, sizeof LIST) || !is_nested(f, size, 12, in_list, 4)) return 0;
    size_t width = f[21], count = 22 + width; /* where the INTEGER is */
    if (f[20] != 0x16 || width < 1 || width > 15 || count + 3 > size || f[22] == '0') return 0;
    size_t octets = size - count - 2;
    if (f[count] != 2 || f[count + 1] != octets || octets > 7 || f[count + 2] >= 0x80) return 0;
    if (octets > 1 && !f[count + 2] && f[count + 3] < 0x80) return 0; /* not minimal */
    uint64_t end = 1;
    range->lo = 0, range->width = width;
    for (size_t i = 22; i < count; i++, end *= 10) {
        if (f[i] < '0' || f[i] > '9') return 0;
        range->lo = range->lo * 10 + (uint64_t)(f[i] - '0');
    }
    uint64_t many = big_endian(f + count + 2, octets);
    range->hi = range->lo + many;
    return many >= 2 && range->hi <= end && !may_say_code(leaf + parts->subject.lo, parts->subject.hi - parts->subject.lo);
}

static PyObject *cut(const uint8_t *leaf, Span span) {
    return PyBytes_FromStringAndSize((const char *)leaf + span.lo, (Py_ssize_t)(span.hi - span.lo));
}

/* A named tuple of these items, which it takes; NULL where one of them is. */
static PyObject *named(PyObject *type, int count, PyObject **items) {
    int whole = 1;
    for (int i = 0; i < count; i++) whole &= items[i] != NULL;
    PyObject *made = whole ? PyType_GenericAlloc((PyTypeObject *)type, count) : NULL;
    for (int i = 0; i < count; i++) {
        if (made) PyTuple_SetItem(made, i, items[i]);
        else Py_XDECREF(items[i]);
    }
    return made;
}

/* What one batch needs besides its leaves; all borrowed but `issuer`, the last one's bytes. */
typedef struct {
    PyObject *known, *learn, *glance, *label, *one, *prefix, *authorities, *issuer;
} Batch;

static PyObject *new_label(const Batch *batch, PyObject *kind, const char *value, size_t size) {
    PyObject *items[] = {Py_NewRef(kind), PyUnicode_FromStringAndSize(value, (Py_ssize_t)size)};
    return named(batch->label, 2, items);
}

/* `ctlog.tn.labels`: the fewest decimal prefixes that tile the range, in the order of labels. */
static PyObject *range_labels(Range range, const Batch *batch) {
    PyObject *found = PyList_New(0), *labels = NULL;
    while (found && range.lo < range.hi) {
        uint64_t block = 1, head;
        size_t digits = range.width;
        char value[16];
        while (range.lo % (block * 10) == 0 && range.lo + block * 10 <= range.hi) block *= 10, digits--;
        head = range.lo / block;
        memset(value, 'x', range.width);
        for (size_t i = digits; i-- > 0; head /= 10) value[i] = (char)('0' + head % 10);
        PyObject *label = new_label(batch, digits < range.width ? batch->prefix : batch->one, value, range.width);
        if (!label || PyList_Append(found, label)) Py_CLEAR(found);
        Py_XDECREF(label);
        range.lo += block;
    }
    if (found && !PyList_Sort(found)) labels = PyList_AsTuple(found);
    Py_XDECREF(found);
    return labels;
}

static PyObject *labels_of(const uint8_t *leaf, const Parts *parts, PyObject *subject, const Batch *batch) {
    Span digits = plain_number(leaf, parts);
    if (digits.hi) {
        PyObject *label = new_label(batch, batch->one, (const char *)leaf + digits.lo, digits.hi - digits.lo);
        PyObject *labels = label ? PyTuple_Pack(1, label) : NULL;
        Py_XDECREF(label);
        return labels;
    }
    Range range;
    if (plain_range(leaf, parts, &range)) return range_labels(range, batch);
    PyObject *scope = PyTuple_New(parts->count + 1);
    if (!scope || PyTuple_SetItem(scope, 0, Py_NewRef(subject))) goto failed;
    for (int i = 0; i < parts->count; i++) {
        PyObject *form = cut(leaf, parts->forms[i]);
        if (!form || PyTuple_SetItem(scope, i + 1, form)) goto failed;
    }
    PyObject *labels = PyDict_GetItemWithError(batch->known, scope);
    Py_XINCREF(labels);
    if (!labels && !PyErr_Occurred()) labels = PyObject_CallFunctionObjArgs(batch->learn, scope, NULL);
    Py_DECREF(scope);
    return labels;
failed:
    Py_XDECREF(scope);
    return NULL;
}

static int note(PyObject *list, Py_ssize_t at) {
    PyObject *number = PyLong_FromSsize_t(at);
    int failed = !number || PyList_Append(list, number);
    Py_XDECREF(number);
    return failed;
}

static PyObject *glance_one(PyObject *object, Py_ssize_t at, Batch *batch) {
    char *data;
    Py_ssize_t size;
    Parts parts;
    if (PyBytes_AsStringAndSize(object, &data, &size)) return NULL;
    const uint8_t *leaf = (const uint8_t *)data;
    if (!walk(leaf, (size_t)size, &parts)) return Py_NewRef(Py_None);
    if (parts.is_authority && note(batch->authorities, at)) return NULL;
    size_t width = parts.issuer.hi - parts.issuer.lo;
    PyObject *last = batch->issuer; /* one object for neighbours with one issuer: its hash is then computed once */
    if (!last || (size_t)PyBytes_Size(last) != width || memcmp(PyBytes_AsString(last), leaf + parts.issuer.lo, width)) {
        Py_XDECREF(last);
        if (!(batch->issuer = cut(leaf, parts.issuer))) return NULL;
    }
    PyObject *subject = cut(leaf, parts.subject);
    if (!subject) return NULL;
    PyObject *items[] = {Py_NewRef(batch->issuer), cut(leaf, parts.validity), subject, cut(leaf, parts.spki),
                         labels_of(leaf, &parts, subject, batch)};
    return named(batch->glance, 5, items);
}

static PyObject *py_glance(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *leaves;
    Batch batch = {0};
    if (!PyArg_ParseTuple(args, "O!O!OOOOOO!", &PyList_Type, &leaves, &PyDict_Type, &batch.known, &batch.learn,
                          &batch.glance, &batch.label, &batch.one, &batch.prefix, &PyList_Type, &batch.authorities))
        return NULL;
    Py_ssize_t count = PyList_Size(leaves);
    PyObject *found = PyList_New(count);
    for (Py_ssize_t i = 0; found && i < count; i++) {
        PyObject *leaf = PyList_GetItem(leaves, i); /* NULL if `learn` shortened the list */
        PyObject *glance = NULL;
        if (leaf) {
            Py_INCREF(leaf);
            glance = glance_one(leaf, i, &batch);
            Py_DECREF(leaf);
        }
        if (!glance || PyList_SetItem(found, i, glance)) Py_CLEAR(found);
    }
    Py_XDECREF(batch.issuer);
    return found;
}

/* --- 3. records ----------------------------------------------------------------------------------------------------- */

enum { RECORD = 40, MAX_HOLDERS = 1 << 16 };
static const int64_t LATE_S = 30 * 86400;
static const uint64_t HINT = ((uint64_t)1 << 48) - 59;

static int pair(const uint8_t *at) {
    return at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9' ? -1 : 10 * (at[0] - '0') + at[1] - '0';
}

/* Seconds since 1970 of a UTCTime "YYMMDDhhmmssZ" (RFC 5280 section 4.1.2.5.1), at least 0; 0 where there is no such
   time, as `monitor.claims.seconds` of `ctlog.x509.der.read_time`. */
static uint32_t utc_seconds(const uint8_t *text) {
    static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int field[6];
    for (int i = 0; i < 6; i++)
        if ((field[i] = pair(text + 2 * i)) < 0) return 0;
    int year = field[0] + (field[0] >= 50 ? 1900 : 2000), month = field[1], day = field[2];
    int leap = year % 4 == 0; /* from 1950 to 2049 */
    if (text[12] != 'Z' || month < 1 || month > 12 || day < 1 || field[3] > 23 || field[4] > 59 || field[5] > 59) return 0;
    if (day > days_before[month] - days_before[month - 1] + (leap && month == 2)) return 0;
    if (year < 1970) return 0;
    int64_t days = 365 * (year - 1970) + (year - 1969) / 4 + days_before[month - 1] + (leap && month > 2) + day - 1;
    return (uint32_t)(((days * 24 + field[3]) * 60 + field[4]) * 60 + field[5]);
}

/* `monitor.holder.telling_part`: the first organisation of a Name where it is ASCII, else the whole Name. */
static Span telling_part(const uint8_t *name, size_t size) {
    Span whole = {0, size}, all, found = {0, 0};
    if (!expect(name, 0, size, 0x30, &all) || all.hi != size) return whole;
    for (size_t at = all.lo; at < size;) {
        size_t length = size - at > 7 ? name[at + 1] : 0x80, end = at + 2 + length;
        if (length >= 0x80 || end > size || length < 6) return whole;
        size_t value = at + 6 + name[at + 5];
        if (name[at] != 0x31 || name[at + 2] != 0x30 || name[at + 3] != length - 2 || name[at + 4] != 6) return whole;
        if (name[at + 5] >= 0x80 || value + 2 > end || value + 2 + name[value + 1] != end) return whole;
        if (!found.hi && name[at + 5] == 3 && !memcmp(name + at + 6, "\x55\x04\x0a", 3)) {
            uint8_t tag = name[value];
            if ((tag != 0x0c && tag != 0x13 && tag != 0x16) || value + 2 == end) return whole;
            for (size_t i = value + 2; i < end; i++)
                if (name[i] >= 0x80) return whole;
            found = (Span){value, end};
        }
        at = end;
    }
    return found.hi ? found : whole;
}

/* `monitor.claims.label_key` of a label of numbers. */
static int number_key(const char *kind, const char *value, Py_ssize_t size, uint64_t *key) {
    int is_prefix = !strcmp(kind, "prefix");
    if ((!is_prefix && strcmp(kind, "one")) || size < 1 || size > 15) return 0;
    uint64_t number = 0, free = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (is_prefix && value[i] == 'x') free++;
        else if (free || value[i] < '0' || value[i] > '9') return 0;
        number = number * 10 + (value[i] == 'x' ? 0 : (uint64_t)(value[i] - '0'));
    }
    *key = (uint64_t)size << 54 | number << 4 | free;
    return 1;
}

static int key_of(PyObject *label, PyObject *label_key, uint64_t *key) {
    PyObject *kind = PyTuple_GetItem(label, 0), *value = kind ? PyTuple_GetItem(label, 1) : NULL;
    Py_ssize_t size;
    const char *kind_text = value ? PyUnicode_AsUTF8AndSize(kind, NULL) : NULL;
    const char *text = kind_text ? PyUnicode_AsUTF8AndSize(value, &size) : NULL;
    if (!text) return 0;
    if (number_key(kind_text, text, size, key)) return 1;
    PyObject *found = PyObject_CallFunctionObjArgs(label_key, label, NULL);
    *key = found ? PyLong_AsUnsignedLongLong(found) : 0;
    Py_XDECREF(found);
    return !PyErr_Occurred();
}

typedef struct {
    uint8_t *bytes;
    size_t size, room;
} Out;

static uint8_t *more(Out *out) {
    if (out->size + RECORD > out->room) {
        size_t room = out->room ? 2 * out->room : 1 << 15;
        uint8_t *bytes = PyMem_Realloc(out->bytes, room);
        if (!bytes) return PyErr_NoMemory(), NULL;
        out->bytes = bytes, out->room = room;
    }
    out->size += RECORD;
    return out->bytes + out->size - RECORD;
}

/* All borrowed. */
typedef struct {
    PyObject *holders, *holder, *period, *label_key;
    int64_t late;
    long log;
} Collecting;

static int number_of(PyObject *value, uint32_t *number) {
    unsigned long found = value ? PyLong_AsUnsignedLong(value) : 0;
    if (PyErr_Occurred()) return 0;
    *number = (uint32_t)found;
    return 1;
}

static int holder_of(PyObject *subject, const Collecting *c, uint32_t *number) {
    const uint8_t *name = (const uint8_t *)PyBytes_AsString(subject);
    if (!name) return 0;
    PyObject *part = cut(name, telling_part(name, (size_t)PyBytes_Size(subject)));
    if (!part) return 0;
    PyObject *found = PyDict_GetItemWithError(c->holders, part);
    int good = found != NULL && number_of(found, number);
    if (!found && !PyErr_Occurred()) {
        found = PyObject_CallFunctionObjArgs(c->holder, subject, NULL);
        good = found && number_of(found, number);
        if (good && PyDict_Size(c->holders) >= MAX_HOLDERS) PyDict_Clear(c->holders);
        good = good && !PyDict_SetItem(c->holders, part, found);
        Py_XDECREF(found);
    }
    Py_DECREF(part);
    return good;
}

static int period_of(PyObject *validity, const Collecting *c, uint32_t *before, uint32_t *after) {
    const uint8_t *v = (const uint8_t *)PyBytes_AsString(validity);
    if (!v) return 0;
    if (PyBytes_Size(validity) == 32 && !memcmp(v, "\x30\x1e\x17\x0d", 4) && !memcmp(v + 17, "\x17\x0d", 2)) {
        *before = utc_seconds(v + 4), *after = utc_seconds(v + 19);
        return 1;
    }
    PyObject *found = PyObject_CallFunctionObjArgs(c->period, validity, NULL);
    int good = found && PyTuple_Check(found) && number_of(PyTuple_GetItem(found, 0), before) &&
               number_of(PyTuple_GetItem(found, 1), after);
    Py_XDECREF(found);
    return good;
}

/* The records of one entry: one for each label, and one for its key if it has one. */
static int collect(PyObject *leaf, PyObject *glance, uint32_t issuer, const uint8_t *digest, uint64_t index, Out *out,
                   Collecting *c) {
    PyObject *part[5];
    if (!PyTuple_Check(glance) || PyTuple_Size(glance) != 5) return PyErr_SetString(PyExc_TypeError, "no glance"), 0;
    for (int i = 0; i < 5; i++) part[i] = PyTuple_GetItem(glance, i);
    uint32_t before = 0, after = 0, holder = 0;
    const uint8_t *data = (const uint8_t *)PyBytes_AsString(leaf);
    if (!data || !period_of(part[1], c, &before, &after) || !holder_of(part[2], c, &holder)) return 0;
    Py_ssize_t size = PyBytes_Size(leaf), has_key = PyBytes_Size(part[3]), labels = PyTuple_Size(part[4]);
    if (has_key < 0 || labels < 0) return 0;
    uint32_t logged = size < 3 ? 0 : (uint32_t)(big_endian(data + 2, size < 10 ? (size_t)size - 2 : 8) / 1000);
    c->late += (int64_t)logged - before > LATE_S;
    uint8_t rest[RECORD - 8];
    put(rest, before, 4), put(rest + 4, after, 4), put(rest + 8, issuer, 4), put(rest + 12, holder, 4);
    memset(rest + 16, 0, 6);
    if (has_key) memcpy(rest + 16, digest, 6);
    put(rest + 22, logged, 4);
    rest[26] = (uint8_t)((c->log & 127) | (size > 11 && data[11] == 1 ? 128 : 0));
    rest[27] = (uint8_t)(c->log >> 7 << 4 | (index >> 32 & 15)), put(rest + 28, index & 0xffffffff, 4);
    uint64_t key = 0;
    for (Py_ssize_t i = 0; i < labels; i++) {
        PyObject *label = PyTuple_GetItem(part[4], i);
        uint8_t *record = label && PyTuple_Check(label) && key_of(label, c->label_key, &key) ? more(out) : NULL;
        if (!record) return PyErr_Occurred() ? 0 : (PyErr_SetString(PyExc_TypeError, "no label"), 0);
        put(record, key, 8), memcpy(record + 8, rest, sizeof rest);
    }
    uint8_t *record = has_key ? more(out) : NULL;
    if (!has_key) return 1;
    if (!record) return 0;
    record[0] = 0x80, memcpy(record + 1, digest, 7), memcpy(record + 8, rest, 16);
    put(record + 24, key % HINT, 6), memcpy(record + 30, rest + 22, 10);
    return 1;
}

static PyObject *py_records(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *leaves, *glances, *issuers, *made = NULL;
    Py_buffer keys;
    unsigned long long lo;
    Out out = {0};
    Collecting c = {0};
    if (!PyArg_ParseTuple(args, "lKO!O!O!y*O!OOO", &c.log, &lo, &PyList_Type, &leaves, &PyList_Type, &glances, &PyList_Type,
                          &issuers, &keys, &PyDict_Type, &c.holders, &c.holder, &c.period, &c.label_key))
        return NULL;
    Py_ssize_t count = PyList_Size(glances), at = 0;
    if (PyList_Size(leaves) != count || PyList_Size(issuers) != count || keys.len != 32 * count) {
        PyErr_SetString(PyExc_ValueError, "leaves, glances, issuers and keys must be as many");
        goto done;
    }
    for (; at < count; at++) { /* what is called may change the lists: each item is held while it is used */
        PyObject *leaf = Py_XNewRef(PyList_GetItem(leaves, at));
        PyObject *glance = leaf ? Py_XNewRef(PyList_GetItem(glances, at)) : NULL;
        uint32_t issuer = 0;
        int good = glance && number_of(PyList_GetItem(issuers, at), &issuer) &&
                   collect(leaf, glance, issuer, (const uint8_t *)keys.buf + 32 * at, lo + (uint64_t)at, &out, &c);
        Py_XDECREF(leaf), Py_XDECREF(glance);
        if (!good) goto done;
    }
    made = Py_BuildValue("(y#L)", out.bytes ? (const char *)out.bytes : "", (Py_ssize_t)out.size, (long long)c.late);
done:
    PyMem_Free(out.bytes);
    PyBuffer_Release(&keys);
    return made;
}

/* --- 4. in order, each once ----------------------------------------------------------------------------------------- */

static int compare(const uint8_t *one, const uint8_t *other) {
    uint64_t a = big_endian(one, 8), b = big_endian(other, 8); /* one load and a byte swap each */
    return a != b ? (a < b ? -1 : 1) : memcmp(one + 8, other + 8, RECORD - 8);
}

/* Where the run that begins at record `at` ends: each record not below the one before it. */
static size_t run_end(const uint8_t *records, size_t at, size_t count) {
    for (at++; at < count && compare(records + RECORD * (at - 1), records + RECORD * at) <= 0; at++) {}
    return at;
}

static uint8_t *merge(uint8_t *to, const uint8_t *one, const uint8_t *one_end, const uint8_t *other, const uint8_t *end) {
    while (one < one_end && other < end) {
        const uint8_t **from = compare(one, other) <= 0 ? &one : &other;
        memcpy(to, *from, RECORD), *from += RECORD, to += RECORD;
    }
    memcpy(to, one, (size_t)(one_end - one)), to += one_end - one;
    memcpy(to, other, (size_t)(end - other));
    return to + (end - other);
}

/* Merges neighbouring runs until there is one: for pieces that are sorted already, a merge of these. */
static uint8_t *sorted(uint8_t *from, uint8_t *to, size_t count) {
    for (;;) {
        size_t runs = 0;
        uint8_t *end = to;
        for (size_t at = 0; at < count; runs++) {
            size_t middle = run_end(from, at, count), stop = middle < count ? run_end(from, middle, count) : middle;
            end = merge(end, from + RECORD * at, from + RECORD * middle, from + RECORD * middle, from + RECORD * stop);
            at = stop;
        }
        uint8_t *done = to;
        to = from, from = done;
        if (runs <= 1) return from;
    }
}

static PyObject *py_sort_records(PyObject *module, PyObject *object) {
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE)) return NULL;
    size_t count = (size_t)view.len / RECORD;
    PyObject *made = NULL;
    uint8_t *room = NULL;
    if (view.len % RECORD) PyErr_SetString(PyExc_ValueError, "records have 40 bytes");
    else if (!(room = PyMem_Malloc((size_t)view.len * 2 + 1))) PyErr_NoMemory();
    else {
        size_t kept = 0;
        uint8_t *records;
        memcpy(room, view.buf, (size_t)view.len);
        Py_BEGIN_ALLOW_THREADS
        records = sorted(room, room + view.len, count);
        for (size_t at = 0; at < count; at++)
            if (!kept || memcmp(records + RECORD * (kept - 1), records + RECORD * at, RECORD))
                memmove(records + RECORD * kept++, records + RECORD * at, RECORD);
        Py_END_ALLOW_THREADS
        made = PyBytes_FromStringAndSize((const char *)records, (Py_ssize_t)(RECORD * kept));
    }
    PyMem_Free(room);
    PyBuffer_Release(&view);
    return made;
}

/* --- 5. candidates -------------------------------------------------------------------------------------------------- */

/* Sorted points (`monitor.number_index.point`): of numbers; of the beginnings of ranges, and how far all up to there
   reach. lengths, heads: a bit for each number of digits, and for each first digit, that may be dialled otherwise. */
typedef struct {
    Py_buffer numbers, los, reach;
    unsigned lengths, heads;
} Index;

/* `bisect.bisect_left`. It begins where the point would stand if all were spread evenly, and widens from there: numbers
   mostly are, and each step that is saved is a line of memory that is not fetched. */
static size_t place(const Py_buffer *points, uint64_t point) {
    const uint64_t *at = points->buf;
    size_t lo = 0, hi = (size_t)points->len / 8;
    if (!hi || point <= at[0]) return 0;
    if (point > at[hi - 1]) return hi;
    size_t guess = (size_t)((double)(point - at[0]) / (double)(at[hi - 1] - at[0]) * (double)(hi - 1)), step = 32;
    if (guess >= hi) guess = hi - 1;
    if (at[guess] < point) {
        for (lo = guess + 1; hi - lo > step && at[lo + step] < point; step *= 2) lo += step + 1;
        if (hi - lo > step) hi = lo + step;
    } else {
        for (hi = guess; hi - lo > step && at[hi - step] >= point; step *= 2) hi -= step;
        if (hi - lo > step) lo = hi - step;
    }
    while (lo < hi) {
        size_t middle = (lo + hi) / 2;
        if (at[middle] < point) lo = middle + 1;
        else hi = middle;
    }
    return lo;
}

/* Whether somebody may watch one of the numbers of a label that has this key, as written or as dialled. */
static int may_concern(uint64_t key, char head, const Index *index) {
    uint64_t width = key >> 54, count = 1;
    for (uint64_t free = key & 15; free; free--) count *= 10;
    uint64_t lo = width << 50 | (key >> 4 & (((uint64_t)1 << 50) - 1)), hi = lo + count;
    if (index->lengths >> width & 1 || head == 'x' || index->heads >> (head - '0') & 1) return 1;
    size_t at = place(&index->numbers, lo);
    if (at < (size_t)index->numbers.len / 8 && ((const uint64_t *)index->numbers.buf)[at] < hi) return 1;
    at = place(&index->los, hi);
    return at && ((const uint64_t *)index->reach.buf)[at - 1] > lo;
}

/* 1 where only Python can tell, 0 where the labels concern nobody, -1 on an error. */
static int is_candidate(PyObject *labels, PyObject *known, const Index *index) {
    Py_ssize_t count = PyTuple_Check(labels) ? PyTuple_Size(labels) : 0, at = 0;
    for (; at < count; at++) {
        PyObject *label = PyTuple_GetItem(labels, at);
        if (!PyTuple_Check(label) || PyTuple_Size(label) != 2) return 1;
        Py_ssize_t size;
        uint64_t key;
        const char *kind = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(label, 0), NULL);
        const char *value = kind ? PyUnicode_AsUTF8AndSize(PyTuple_GetItem(label, 1), &size) : NULL;
        if (!value) return -1;
        if (!number_key(kind, value, size, &key)) break;
        if (may_concern(key, value[0], index)) return 1;
    }
    if (count && at == count) return 0;
    PyObject *touches = PyDict_GetItemWithError(known, labels);
    return touches ? PyObject_IsTrue(touches) : PyErr_Occurred() ? -1 : 1;
}

static PyObject *py_candidates(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *glances, *known, *found = NULL;
    Index index;
    if (!PyArg_ParseTuple(args, "O!O!y*y*y*II", &PyList_Type, &glances, &PyDict_Type, &known, &index.numbers, &index.los,
                          &index.reach, &index.lengths, &index.heads))
        return NULL;
    Py_ssize_t count = PyList_Size(glances);
    if (index.los.len != index.reach.len) PyErr_SetString(PyExc_ValueError, "los and reach must be as many");
    else found = PyList_New(0);
    for (Py_ssize_t i = 0; found && i < count; i++) {
        PyObject *glance = PyList_GetItem(glances, i);
        PyObject *labels = glance && PyTuple_Check(glance) ? PyTuple_GetItem(glance, 4) : NULL;
        int answer = labels ? is_candidate(labels, known, &index) : -1;
        if (answer > 0) {
            PyObject *at = PyLong_FromSsize_t(i);
            if (!at || PyList_Append(found, at)) answer = -1;
            Py_XDECREF(at);
        }
        if (answer < 0) {
            Py_CLEAR(found);
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "no glance");
        }
    }
    PyBuffer_Release(&index.numbers), PyBuffer_Release(&index.los), PyBuffer_Release(&index.reach);
    return found;
}

static PyMethodDef METHODS[] = {
    {"glance", py_glance, METH_VARARGS, 
     "glance(leaves, known, learn, Glance, Label, one, prefix, authorities, /)\n--\n\nCuts leaves."},
    {"records", py_records, METH_VARARGS,
     "records(log, lo, leaves, glances, issuers, keys, holders, holder, period, label_key, /)\n--\n\nMakes records."},
    {"sort_records", py_sort_records, METH_O, "sort_records(records, /)\n--\n\nIn order, each once."},
    {"candidates", py_candidates, METH_VARARGS,
     "candidates(glances, known, numbers, los, reach, lengths, heads, /)\n--\n\nWho may be concerned."},
    {NULL, NULL, 0, NULL}};

static int switched(PyObject *module) {
    (void)module;
    const char *off = getenv("CTLOG_NO_KERNEL");
    if (!off || !*off) return 0;
    PyErr_SetString(PyExc_ImportError, "the C code is switched off by CTLOG_NO_KERNEL");
    return -1;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)switched}, {0, NULL}};
static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "monitor._hot", .m_doc = "The monitor's hot path in batches.",
                             .m_methods = METHODS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit__hot(void) { return PyModuleDef_Init(&MODULE); }
