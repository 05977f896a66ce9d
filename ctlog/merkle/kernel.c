/* The hashes of RFC 6962 section 2.1 in batches; `reference.py` is the specification of every function here.

   In scope: SHA-256 of many messages at once, in the widest way that the processor and the operating system allow.
   Out of scope: trees (`tree.py`). No dependency; Python's stable ABI of 3.11. In the order of reading:

     1. SHA-256, once for words side by side (lanes), once for instructions that do several rounds (streams)
     2. the engines: portable, AVX2 and AVX-512 by lanes; SHA-NI and ARMv8 by streams
     3. which of them this machine runs
     4. nodes, perfect subtrees, and messages of any lengths, over any engine: no Python, no allocation
     5. the Python module: takes the buffers, allocates everything, lets go of the lock, and calls 4

   With KERNEL_WITHOUT_PYTHON defined, 5 is left out, so that a program in C can run the rest under an emulator. */

#ifndef KERNEL_WITHOUT_PYTHON
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define KERNEL_X86
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__AARCH64EL__) && defined(__linux__) && defined(__GNUC__)
#define KERNEL_ARM
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))
#define PREFETCH(address) __builtin_prefetch((const void *)(address))
#else
#define INLINE static inline
#define ALIGNED
#define PREFETCH(address) (void)(address)
#endif

#define MAX_LANES 16

/* One way to compute SHA-256 of several messages side by side. */
typedef struct {
    const char *name;
    int lanes;      /* messages at once */
    int node_lanes; /* `nodes` takes a multiple of so many */
    /* Word w of lane l of a state is [word_at[w] + l * lane_step] of 8 * MAX_LANES words, ALIGNED. */
    uint8_t word_at[8];
    int lane_step;
    /* Feeds `count` >= 1 blocks into each of the first `active` lanes, 1 to `lanes`: reads count * 64 bytes from each
       at[l] and moves it behind them. The other lanes, of `at` and of the state, are scratch. With each block of a lane
       the cache line at address ahead[l], which may be any, is asked for, and ahead[l] moves on, too. */
    void (*blocks)(uint32_t *state, const uint8_t **at, uintptr_t *ahead, size_t count, int active);
    /* Reads n * 64 bytes, writes n * 32. Hash i is written after pairs 0 to 2i + 1 were read: `out` may be `pairs`. */
    void (*nodes)(uint8_t *out, const uint8_t *pairs, size_t n);
    /* Writes lanes * 32 bytes: the hash in each lane. The state is scratch afterwards. */
    void (*hashes)(uint8_t *out, uint32_t *state);
} Engine;

/* ---- 1. SHA-256 (FIPS 180-4, section 6.2) ---- */

static const uint32_t K[64] ALIGNED = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t IV[8] ALIGNED = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* 0x01 || left || right is 65 bytes: a first block of the prefix and all of the pair but its last byte, and a second
   block of that byte, 0x80, zeros, and the length in bits. */
#define NODE_PADDING 0x00800000
#define NODE_BITS 520

/* Lanes. X names the engine and gives X_ROTR, X_XOR3, X_CH and X_MAJ on its type of words side by side. */
#define BIG0(X, x) X##_XOR3(X##_ROTR(x, 2), X##_ROTR(x, 13), X##_ROTR(x, 22))
#define BIG1(X, x) X##_XOR3(X##_ROTR(x, 6), X##_ROTR(x, 11), X##_ROTR(x, 25))
#define SMALL0(X, x) X##_XOR3(X##_ROTR(x, 7), X##_ROTR(x, 18), (x) >> 3)
#define SMALL1(X, x) X##_XOR3(X##_ROTR(x, 17), X##_ROTR(x, 19), (x) >> 10)

#define ROUND(X, a, b, c, d, e, f, g, h, j, THEN) \
    h += w[j] + K[i + (j)];                       \
    h += X##_CH(e, f, g) + BIG1(X, e);            \
    d += h;                                       \
    h += X##_MAJ(a, b, c) + BIG0(X, a);           \
    THEN(X, j)
#define EIGHT_ROUNDS(X, j, THEN)                  \
    ROUND(X, a, b, c, d, e, f, g, h, j, THEN)     \
    ROUND(X, h, a, b, c, d, e, f, g, j + 1, THEN) \
    ROUND(X, g, h, a, b, c, d, e, f, j + 2, THEN) \
    ROUND(X, f, g, h, a, b, c, d, e, j + 3, THEN) \
    ROUND(X, e, f, g, h, a, b, c, d, j + 4, THEN) \
    ROUND(X, d, e, f, g, h, a, b, c, j + 5, THEN) \
    ROUND(X, c, d, e, f, g, h, a, b, j + 6, THEN) \
    ROUND(X, b, c, d, e, f, g, h, a, j + 7, THEN)

/* After round i + j its word of the message makes room for that of round i + j + 16. */
#define THEN_NEXT(X, j) w[j] += SMALL0(X, w[(j + 1) & 15]) + w[(j + 9) & 15] + SMALL1(X, w[(j + 14) & 15]);
#define THEN_NOTHING(X, j)

/* Defines X_blocks and X_nodes for a type V of LANES words side by side. X_load(w, at) reads one block of each lane as
   it lies in memory, word by word; X_number turns such words into numbers; X_shifted does the same one byte further to
   the right, with the last byte of the word before; X_last takes the last byte; X_store writes a hash for each lane. */
#define DEFINE_LANES(X, V, LANES, TARGET)                                                              \
    TARGET INLINE void X##_compress(V *s, V *w) {                                                      \
        V a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];              \
        int i;                                                                                         \
        for (i = 0; i < 48; i += 16) {                                                                 \
            EIGHT_ROUNDS(X, 0, THEN_NEXT)                                                              \
            EIGHT_ROUNDS(X, 8, THEN_NEXT)                                                              \
        }                                                                                              \
        EIGHT_ROUNDS(X, 0, THEN_NOTHING)                                                               \
        EIGHT_ROUNDS(X, 8, THEN_NOTHING)                                                               \
        s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;        \
    }                                                                                                  \
    TARGET static void X##_blocks(uint32_t *state, const uint8_t **at, uintptr_t *ahead, size_t count, \
                                  int active) {                                                        \
        V w[16];                                                                                       \
        for (int l = active; l < LANES; l++) at[l] = at[0];                                            \
        while (count--) {                                                                              \
            X##_load(w, at);                                                                           \
            for (int l = 0; l < LANES; l++) {                                                          \
                PREFETCH(ahead[l]);                                                                    \
                at[l] += 64, ahead[l] += 64;                                                           \
            }                                                                                          \
            for (int j = 0; j < 16; j++) w[j] = X##_number(w[j]);                                      \
            X##_compress((V *)state, w);                                                               \
        }                                                                                              \
    }                                                                                                  \
    TARGET static void X##_hashes(uint8_t *out, uint32_t *state) { X##_store(out, (V *)state); }       \
    TARGET static void X##_nodes(uint8_t *out, const uint8_t *pairs, size_t n) {                       \
        const V zero = {0};                                                                            \
        for (; n; n -= LANES, out += 32 * LANES) {                                                     \
            const uint8_t *at[LANES];                                                                  \
            V s[8], w[16];                                                                             \
            for (int l = 0; l < LANES; l++, pairs += 64) at[l] = pairs;                                \
            X##_load(w, at);                                                                           \
            V last = X##_last(w[15]);                                                                  \
            for (int j = 15; j; j--) w[j] = X##_shifted(w[j - 1], w[j]);                               \
            w[0] = X##_shifted(zero, w[0]) | 0x01000000;                                               \
            for (int j = 0; j < 8; j++) s[j] = zero + IV[j];                                           \
            X##_compress(s, w);                                                                        \
            for (int j = 1; j < 15; j++) w[j] = zero;                                                  \
            w[0] = last | NODE_PADDING, w[15] = zero + NODE_BITS;                                      \
            X##_compress(s, w);                                                                        \
            X##_store(out, s);                                                                         \
        }                                                                                              \
    }

/* Streams. X gives X_four(s, words), four rounds on a state of two vectors Q; X_next(m0, m1, m2, m3), the four words
   of the message after those sixteen; X_load, X_first (with the 0x01 of a node before it), X_words and X_store.
   Four streams hide each other's latency; two groups of four, block by block in turn, hide more. N is a constant. */
#define EACH_OF(N) _Pragma("GCC unroll 4") for (int l = 0; l < (N); l++)
#define DEFINE_STREAMS(X, Q, TARGET)                                                                   \
    TARGET INLINE void X##_compress(Q (*state)[2], Q m[4][4], const int N) {                           \
        Q s[4][2];                                                                                     \
        EACH_OF(N) s[l][0] = state[l][0], s[l][1] = state[l][1];                                       \
        _Pragma("GCC unroll 16") for (int r = 0; r < 16; r++) {                                        \
            const Q k = X##_constants(K + 4 * r);                                                      \
            EACH_OF(N) {                                                                               \
                Q *w = m[l];                                                                           \
                X##_four(s[l], X##_add(w[r & 3], k));                                                  \
                if (r < 12) w[r & 3] = X##_next(w[r & 3], w[(r + 1) & 3], w[(r + 2) & 3], w[(r + 3) & 3]);\
            }                                                                                          \
        }                                                                                              \
        EACH_OF(N) state[l][0] = X##_add(s[l][0], state[l][0]), state[l][1] = X##_add(s[l][1], state[l][1]);\
    }                                                                                                  \
    TARGET INLINE void X##_block(Q (*state)[2], const uint8_t **at, uintptr_t *ahead, const int N) {   \
        Q m[4][4];                                                                                     \
        EACH_OF(N) {                                                                                   \
            _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) m[l][j] = X##_load(at[l] + 16 * j);    \
            PREFETCH(ahead[l]);                                                                        \
            at[l] += 64, ahead[l] += 64;                                                               \
        }                                                                                              \
        X##_compress(state, m, N);                                                                     \
    }                                                                                                  \
    TARGET static void X##_blocks(uint32_t *state, const uint8_t **at, uintptr_t *ahead, size_t count, \
                                  int active) {                                                        \
        Q(*s)[2] = (Q(*)[2])state;                                                                     \
        for (int l = active; active > 2 && l & 3; l++) at[l] = at[0];                                  \
        while (count--) {                                                                              \
            if (active == 1) X##_block(s, at, ahead, 1);                                               \
            else if (active == 2) X##_block(s, at, ahead, 2);                                          \
            else for (int l = 0; l < active; l += 4) X##_block(s + l, at + l, ahead + l, 4);           \
        }                                                                                              \
    }                                                                                                  \
    TARGET static void X##_hashes(uint8_t *out, uint32_t *state) {                                     \
        for (int l = 0; l < 8; l++) X##_store(out + 32 * l, (Q *)state + 2 * l);                       \
    }                                                                                                  \
    TARGET INLINE void X##_few_nodes(uint8_t *out, const uint8_t *pairs, const int N) {                \
        Q s[4][2], m[4][4];                                                                            \
        uint8_t last[4];                                                                               \
        EACH_OF(N) {                                                                                   \
            const uint8_t *pair = pairs + 64 * l;                                                      \
            m[l][0] = X##_first(pair), m[l][1] = X##_load(pair + 15);                                  \
            m[l][2] = X##_load(pair + 31), m[l][3] = X##_load(pair + 47), last[l] = pair[63];          \
            s[l][0] = X##_IV0, s[l][1] = X##_IV1;                                                      \
        }                                                                                              \
        X##_compress(s, m, N);                                                                         \
        EACH_OF(N) {                                                                                   \
            m[l][0] = X##_words((uint32_t)last[l] << 24 | NODE_PADDING, 0);                            \
            m[l][1] = m[l][2] = X##_words(0, 0), m[l][3] = X##_words(0, NODE_BITS);                    \
        }                                                                                              \
        X##_compress(s, m, N);                                                                         \
        EACH_OF(N) X##_store(out + 32 * l, s[l]);                                                      \
    }                                                                                                  \
    TARGET static void X##_nodes(uint8_t *out, const uint8_t *pairs, size_t n) {                       \
        for (; n >= 4; n -= 4, out += 128, pairs += 256) X##_few_nodes(out, pairs, 4);                 \
        if (n > 1) X##_few_nodes(out, pairs, 2), n -= 2, out += 64, pairs += 128;                      \
        if (n) X##_few_nodes(out, pairs, 1);                                                           \
    }

/* ---- 2. Engines ---- */

#define WORD_ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define WORD_XOR3(x, y, z) ((x) ^ (y) ^ (z))
#define WORD_CH(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define WORD_MAJ(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

static inline uint32_t load_word(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_word(uint8_t *p, uint32_t word) {
    p[0] = (uint8_t)(word >> 24), p[1] = (uint8_t)(word >> 16), p[2] = (uint8_t)(word >> 8), p[3] = (uint8_t)word;
}

#define portable_ROTR WORD_ROTR
#define portable_XOR3 WORD_XOR3
#define portable_CH WORD_CH
#define portable_MAJ WORD_MAJ
#define portable_number(word) (word)
#define portable_shifted(before, word) ((before) << 24 | (word) >> 8)
#define portable_last(word) ((word) << 24)

static inline void portable_load(uint32_t *w, const uint8_t **at) {
    for (int j = 0; j < 16; j++) w[j] = load_word(at[0] + 4 * j);
}

static inline void portable_store(uint8_t *out, const uint32_t *s) {
    for (int j = 0; j < 8; j++) store_word(out + 4 * j, s[j]);
}

#define ANY_TARGET
DEFINE_LANES(portable, uint32_t, 1, ANY_TARGET)
static const Engine PORTABLE = {"portable", 1, 1, {0, 1, 2, 3, 4, 5, 6, 7}, 1, portable_blocks, portable_nodes, portable_hashes};

#ifdef KERNEL_X86

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define SHANI __attribute__((target("sha,sse4.1,ssse3")))

/* In each 16 bytes: the bytes of words as numbers; the same after the last byte of the word before took the place of
   the word's own last byte. */
#define NUMBER _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203)
#define SHIFTED _mm_set_epi64x(0x0f0c0d0e0b08090a, 0x0704050603000102)

typedef uint32_t V8 __attribute__((vector_size(32), may_alias));
typedef uint32_t V16 __attribute__((vector_size(64), may_alias));

#define avx2_ROTR WORD_ROTR
#define avx2_XOR3 WORD_XOR3
#define avx2_CH WORD_CH
#define avx2_MAJ WORD_MAJ
#define avx2_number(word) avx2_order(word, NUMBER)
#define avx2_shifted(before, word) avx2_order(((before) & 0xff000000) | ((word) & 0x00ffffff), SHIFTED)
#define avx2_last(word) ((word) & 0xff000000)

AVX2 INLINE V8 avx2_order(V8 words, __m128i order) {
    return (V8)_mm256_shuffle_epi8((__m256i)words, _mm256_broadcastsi128_si256(order));
}

/* In each 16 bytes on their own: 4 x 4 words, v[row][column] becomes v[column][row]. */
#define DEFINE_TRANSPOSE(X, V, M, TARGET)                                                              \
    TARGET INLINE void X##_transpose(V *v) {                                                           \
        M a = X##_LOW4(v[0], v[1]), b = X##_HIGH4(v[0], v[1]);                                         \
        M c = X##_LOW4(v[2], v[3]), d = X##_HIGH4(v[2], v[3]);                                         \
        v[0] = (V)X##_LOW8(a, c), v[1] = (V)X##_HIGH8(a, c);                                           \
        v[2] = (V)X##_LOW8(b, d), v[3] = (V)X##_HIGH8(b, d);                                           \
    }

#define avx2_LOW4(x, y) _mm256_unpacklo_epi32((__m256i)(x), (__m256i)(y))
#define avx2_HIGH4(x, y) _mm256_unpackhi_epi32((__m256i)(x), (__m256i)(y))
#define avx2_LOW8 _mm256_unpacklo_epi64
#define avx2_HIGH8 _mm256_unpackhi_epi64
DEFINE_TRANSPOSE(avx2, V8, __m256i, AVX2)

/* The halves come from lanes 4 apart, so that transposing each half puts all lanes in order. */
AVX2 INLINE void avx2_load(V8 *w, const uint8_t **at) {
    for (int j = 0; j < 16; j++) {
        const uint8_t **row = at + (j & 3);
        __m128i low = _mm_loadu_si128((const __m128i *)(row[0] + 4 * (j & 12)));
        __m128i high = _mm_loadu_si128((const __m128i *)(row[4] + 4 * (j & 12)));
        w[j] = (V8)_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    for (int j = 0; j < 16; j += 4) avx2_transpose(w + j);
}

AVX2 INLINE void avx2_store(uint8_t *out, V8 *s) {
    for (int j = 0; j < 8; j += 4) {
        avx2_transpose(s + j);
        for (int l = 0; l < 4; l++, out += 32) {
            __m256i words = (__m256i)avx2_order(s[j + l], NUMBER);
            _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(words));
            _mm_storeu_si128((__m128i *)(out + 128), _mm256_extracti128_si256(words, 1));
        }
        out += 16 - 128;
    }
}

DEFINE_LANES(avx2, V8, 8, AVX2)
static const Engine AVX2_LANES = {"avx2", 8, 8, {0, 8, 16, 24, 32, 40, 48, 56}, 1, avx2_blocks, avx2_nodes, avx2_hashes};

#define TERNARY(x, y, z, table) (V16) _mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), table)
#define avx512_ROTR(x, n) (V16) _mm512_ror_epi32((__m512i)(x), n)
#define avx512_XOR3(x, y, z) TERNARY(x, y, z, 0x96)
#define avx512_CH(x, y, z) TERNARY(x, y, z, 0xca)
#define avx512_MAJ(x, y, z) TERNARY(x, y, z, 0xe8)
#define avx512_number(word) avx512_order(word, NUMBER)
#define avx512_last(word) ((word) & 0xff000000)

AVX512 INLINE V16 avx512_order(V16 words, __m128i order) {
    return (V16)_mm512_shuffle_epi8((__m512i)words, _mm512_broadcast_i32x4(order));
}

AVX512 INLINE V16 avx512_shifted(V16 before, V16 word) {
    return avx512_order((V16)_mm512_mask_blend_epi8(0x8888888888888888, (__m512i)word, (__m512i)before), SHIFTED);
}

#define avx512_LOW4(x, y) _mm512_unpacklo_epi32((__m512i)(x), (__m512i)(y))
#define avx512_HIGH4(x, y) _mm512_unpackhi_epi32((__m512i)(x), (__m512i)(y))
#define avx512_LOW8 _mm512_unpacklo_epi64
#define avx512_HIGH8 _mm512_unpackhi_epi64
DEFINE_TRANSPOSE(avx512, V16, __m512i, AVX512)

AVX512 INLINE void avx512_load(V16 *w, const uint8_t **at) {
    for (int j = 0; j < 16; j++) {
        const uint8_t **row = at + (j & 3);
        int column = 4 * (j & 12);
        __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(row[0] + column)));
        v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(row[4] + column)), 1);
        v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(row[8] + column)), 2);
        w[j] = (V16)_mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(row[12] + column)), 3);
    }
    for (int j = 0; j < 16; j += 4) avx512_transpose(w + j);
}

AVX512 INLINE void avx512_store(uint8_t *out, V16 *s) {
    for (int j = 0; j < 8; j += 4) {
        avx512_transpose(s + j);
        for (int l = 0; l < 4; l++, out += 32) {
            __m512i words = (__m512i)avx512_order(s[j + l], NUMBER);
            _mm_storeu_si128((__m128i *)out, _mm512_castsi512_si128(words));
            _mm_storeu_si128((__m128i *)(out + 128), _mm512_extracti32x4_epi32(words, 1));
            _mm_storeu_si128((__m128i *)(out + 256), _mm512_extracti32x4_epi32(words, 2));
            _mm_storeu_si128((__m128i *)(out + 384), _mm512_extracti32x4_epi32(words, 3));
        }
        out += 16 - 128;
    }
}

DEFINE_LANES(avx512, V16, 16, AVX512)
static const Engine AVX512_LANES = {"avx512", 16, 16, {0, 16, 32, 48, 64, 80, 96, 112}, 1, avx512_blocks, avx512_nodes, avx512_hashes};

/* The instructions want the state as ABEF and CDGH, the first named highest. */
#define shani_add _mm_add_epi32
#define shani_IV0 _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c)
#define shani_IV1 _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19)

SHANI INLINE __m128i shani_constants(const uint32_t *words) { return _mm_load_si128((const __m128i *)words); }

SHANI INLINE __m128i shani_words(uint32_t first, uint32_t last) { return _mm_set_epi32((int)last, 0, 0, (int)first); }

SHANI INLINE __m128i shani_load(const uint8_t *p) {
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), NUMBER);
}

SHANI INLINE __m128i shani_first(const uint8_t *p) {
    return _mm_shuffle_epi8(_mm_alignr_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(1), 15), NUMBER);
}

SHANI INLINE void shani_four(__m128i *s, __m128i words) {
    s[1] = _mm_sha256rnds2_epu32(s[1], s[0], words);
    s[0] = _mm_sha256rnds2_epu32(s[0], s[1], _mm_shuffle_epi32(words, 0x0e));
}

SHANI INLINE __m128i shani_next(__m128i m0, __m128i m1, __m128i m2, __m128i m3) {
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4)), m3);
}

SHANI INLINE void shani_store(uint8_t *out, const __m128i *s) {
    __m128i abef = _mm_shuffle_epi32(s[0], 0x1b), cdgh = _mm_shuffle_epi32(s[1], 0x1b);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(_mm_unpacklo_epi64(abef, cdgh), NUMBER));
    _mm_storeu_si128((__m128i *)(out + 16), _mm_shuffle_epi8(_mm_unpackhi_epi64(abef, cdgh), NUMBER));
}

DEFINE_STREAMS(shani, __m128i, SHANI)
static const Engine SHANI_STREAMS = {"sha-ni", 8, 1, {3, 2, 7, 6, 1, 0, 5, 4}, 8, shani_blocks, shani_nodes, shani_hashes};
#endif

#ifdef KERNEL_ARM

#ifdef __clang__
#define ARMV8 __attribute__((target("sha2")))
#else
#define ARMV8 __attribute__((target("+crypto")))
#endif

#define armv8_add vaddq_u32
#define armv8_IV0 vld1q_u32(IV)
#define armv8_IV1 vld1q_u32(IV + 4)
#define armv8_constants(words) vld1q_u32(words)

ARMV8 INLINE uint32x4_t armv8_words(uint32_t first, uint32_t last) {
    return vsetq_lane_u32(last, vsetq_lane_u32(first, vdupq_n_u32(0), 0), 3);
}

ARMV8 INLINE uint32x4_t armv8_load(const uint8_t *p) { return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p))); }

ARMV8 INLINE uint32x4_t armv8_first(const uint8_t *p) {
    return vreinterpretq_u32_u8(vrev32q_u8(vextq_u8(vdupq_n_u8(1), vld1q_u8(p), 15)));
}

ARMV8 INLINE void armv8_four(uint32x4_t *s, uint32x4_t words) {
    uint32x4_t abcd = s[0];
    s[0] = vsha256hq_u32(abcd, s[1], words);
    s[1] = vsha256h2q_u32(s[1], abcd, words);
}

ARMV8 INLINE uint32x4_t armv8_next(uint32x4_t m0, uint32x4_t m1, uint32x4_t m2, uint32x4_t m3) {
    return vsha256su1q_u32(vsha256su0q_u32(m0, m1), m2, m3);
}

ARMV8 INLINE void armv8_store(uint8_t *out, const uint32x4_t *s) {
    vst1q_u8(out, vrev32q_u8(vreinterpretq_u8_u32(s[0])));
    vst1q_u8(out + 16, vrev32q_u8(vreinterpretq_u8_u32(s[1])));
}

DEFINE_STREAMS(armv8, uint32x4_t, ARMV8)
static const Engine ARMV8_STREAMS = {"armv8", 8, 1, {0, 1, 2, 3, 4, 5, 6, 7}, 8, armv8_blocks, armv8_nodes, armv8_hashes};
#endif

/* ---- 3. Which engines ---- */

/* `narrow` is the better one for `floor` messages or nodes and fewer; it has at least so many lanes. */
typedef struct {
    const Engine *wide, *narrow;
    int floor;
} Kernel;

/* The environment, read when a kernel is chosen: CTLOG_NO_AVX512, CTLOG_NO_AVX2, CTLOG_NO_SHANI and CTLOG_NO_ARMV8,
   set and not empty, switch an engine off; CTLOG_KERNEL names one to prefer, if it can run. */
static int is_set(const char *name) {
    const char *value = getenv(name);
    return value && *value;
}

static Kernel preferred(const Kernel *kernels, int count) {
    const char *name = getenv("CTLOG_KERNEL");
    for (int i = 0; name && i < count; i++)
        if (!strcmp(name, kernels[i].wide->name)) return kernels[i];
    return kernels[0];
}

#ifdef KERNEL_X86
static Kernel choose_kernel(void) {
    const Kernel portable = {&PORTABLE, &PORTABLE, 0}, streams = {&SHANI_STREAMS, &SHANI_STREAMS, 0};
    Kernel able[5], avx512 = {&AVX512_LANES, &PORTABLE, 1}, avx2 = {&AVX2_LANES, &PORTABLE, 1};
    unsigned family, maker, features, more, saved = 0, a, b, c, d;
    int count = 0, has_avx512, has_shani, halves;
    if (!__get_cpuid(0, &a, &maker, &c, &d) || !__get_cpuid(1, &family, &b, &features, &d) ||
        !__get_cpuid_count(7, 0, &a, &more, &c, &d))
        return portable;
    /* The processor can, and the system saves the registers: XCR0 bits 1, 2 for AVX, and 5, 6, 7 for AVX-512. */
    if (features >> 27 & 1) __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    has_avx512 = (more >> 16 & 1) && (more >> 30 & 1) && (saved & 0xe6) == 0xe6 && !is_set("CTLOG_NO_AVX512");
    has_shani = (more >> 29 & 1) && (features >> 19 & 1) && (features >> 9 & 1) && !is_set("CTLOG_NO_SHANI");
    /* AMD family 19h (Zen 4) computes AVX-512 in two halves, and four streams of SHA-NI overtake it. */
    halves = maker == 0x68747541 && (family >> 8 & 15) + (family >> 20 & 255) == 0x19;
    if (has_shani) avx512.narrow = &SHANI_STREAMS, avx512.floor = 8;
    if (has_shani && halves) able[count++] = streams;
    if (has_avx512) able[count++] = avx512;
    if (has_shani) able[count++] = streams;
    if ((more >> 5 & 1) && (saved & 6) == 6 && !is_set("CTLOG_NO_AVX2")) able[count++] = avx2;
    able[count++] = portable;
    return preferred(able, count);
}
#else
static Kernel choose_kernel(void) {
    Kernel able[2];
    int count = 0;
#ifdef KERNEL_ARM
    if ((getauxval(AT_HWCAP) >> 6 & 1) && !is_set("CTLOG_NO_ARMV8")) /* HWCAP_SHA2 */
        able[count++] = (Kernel){&ARMV8_STREAMS, &ARMV8_STREAMS, 0};
#endif
    able[count++] = (Kernel){&PORTABLE, &PORTABLE, 0};
    return preferred(able, count);
}
#endif

/* ---- 4. Batches: nothing here allocates, waits or fails ---- */

/* Reads n * 64 bytes of pairs, writes n * 32; `out` may be `pairs`. */
static void hash_nodes(const Kernel *k, uint8_t *out, const uint8_t *pairs, size_t n) {
    size_t lanes = (size_t)k->wide->node_lanes, rest = n % lanes;
    k->wide->nodes(out, pairs, n - rest);
    out += 32 * (n - rest), pairs += 64 * (n - rest);
    if (rest > (size_t)k->floor) { /* one more group, filled up */
        uint8_t in[64 * MAX_LANES] = {0}, hashes[32 * MAX_LANES];
        memcpy(in, pairs, 64 * rest);
        k->wide->nodes(hashes, in, lanes);
        memcpy(out, hashes, 32 * rest);
    } else if (rest) {
        k->narrow->nodes(out, pairs, rest);
    }
}

/* Subtrees are folded in slices of so many hashes, which stay in the first-level cache. */
#define SLICE 512

/* Reads n * width * 32 bytes of hashes, writes n * 32: the roots of n subtrees of `width` = 2^k <= SLICE leaves. */
static void fold_small(const Kernel *k, uint8_t *out, const uint8_t *hashes, size_t n, size_t width) {
    uint8_t level[SLICE / 2 * 32];
    size_t step = SLICE / width;
    for (; n; n -= step, out += 32 * step, hashes += 32 * step * width) {
        const uint8_t *from = hashes;
        if (step > n) step = n;
        for (size_t left = width; left > 1; left /= 2, from = level) hash_nodes(k, level, from, step * left / 2);
        memcpy(out, from, 32 * step);
    }
}

/* The same for any width = 2^k. */
static void fold(const Kernel *k, uint8_t *out, const uint8_t *hashes, size_t n, size_t width) {
    uint8_t roots[SLICE * 32];
    size_t part = SLICE; /* a power of SLICE, so that at most SLICE parts make the whole */
    if (width <= SLICE) {
        fold_small(k, out, hashes, n, width);
        return;
    }
    while (width / part > SLICE) part *= SLICE;
    for (; n--; out += 32, hashes += 32 * width) {
        if (part == SLICE) fold_small(k, roots, hashes, width / part, part);
        else fold(k, roots, hashes, width / part, part);
        fold_small(k, out, roots, 1, width / part);
    }
}

typedef struct {
    const uint8_t *data; /* not null */
    size_t size;
} Message;

/* The messages not yet begun, and where the hash of the next one goes. `prefix` is 1 for 0x00 before each, or 0. */
typedef struct {
    const Message *next, *end;
    uint8_t *out;
    size_t prefix;
} Batch;

typedef struct {
    const uint8_t *at;
    size_t blocks;
} Run;

/* A message under way, as runs of whole blocks: its first block, with the prefix, in `edges`; most of it, where it lies;
   and the padded rest, behind the first block. `runs` are those not yet begun, the next one last. */
typedef struct {
    Run runs[3];
    int count;
    uint8_t *out;
    uint32_t words[8]; /* its state, on the way from one engine to another */
    uint8_t edges[64 + 128];
} Job;

static void begin(Job *job, Batch *batch) {
    Message message = *batch->next++;
    size_t size = message.size + batch->prefix, blocks = size / 64, rest = size % 64, padded = rest < 56 ? 1 : 2;
    size_t lead = blocks ? 0 : batch->prefix; /* a short message has its prefix in the tail */
    size_t headed = batch->prefix - lead;
    uint8_t *head = job->edges, *tail = head + 64;
    memset(tail, 0, 64), memset(tail + 64, 0, 64); /* a compiler may make `rep stos` of 128, which begins slowly */
    if (message.size >= 64) memcpy(tail + rest - 64, message.data + (message.size - 64), 64);
    else memcpy(tail + lead, message.data + (message.size - (rest - lead)), rest - lead);
    tail[rest] = 0x80;
    store_word(tail + 64 * padded - 8, (uint32_t)((uint64_t)size >> 29)); /* the length in bits */
    store_word(tail + 64 * padded - 4, (uint32_t)(size << 3));
    job->out = batch->out, batch->out += 32;
    job->runs[0] = (Run){tail, padded}, job->count = 1;
    if (blocks > headed) job->runs[job->count++] = (Run){message.data + (headed ? 63 : 0), blocks - headed};
    if (headed) {
        head[0] = 0, memcpy(head + 1, message.data, 63);
        job->runs[job->count++] = (Run){head, 1};
    }
}

/* The messages under way, one a lane, in the first `active` lanes of an engine. */
typedef struct {
    const Engine *engine;
    int active;
    Job *jobs[MAX_LANES];
    const uint8_t *at[MAX_LANES]; /* the run in hand */
    uintptr_t ahead[MAX_LANES]; /* the message that will follow in the lane */
    size_t blocks[MAX_LANES];
    uint32_t state[8 * MAX_LANES] ALIGNED;
} Lanes;

INLINE void take_run(Lanes *lanes, int l) {
    Job *job = lanes->jobs[l];
    Run run = job->runs[--job->count];
    lanes->at[l] = run.at, lanes->blocks[l] = run.blocks;
}

static void load_lane(Lanes *lanes, int l, const uint32_t *words) {
    const Engine *e = lanes->engine;
    take_run(lanes, l);
    for (int w = 0; w < 8; w++) lanes->state[e->word_at[w] + l * e->lane_step] = words[w];
}

static void save_lane(Lanes *lanes, int l) {
    const Engine *e = lanes->engine;
    Job *job = lanes->jobs[l];
    job->runs[job->count++] = (Run){lanes->at[l], lanes->blocks[l]};
    for (int w = 0; w < 8; w++) job->words[w] = lanes->state[e->word_at[w] + l * e->lane_step];
}

/* The message that will follow in lane l, if all are of one length. */
INLINE void look_ahead(Lanes *lanes, int l, const Batch *batch) {
    if (batch->end - batch->next >= lanes->engine->lanes)
        lanes->ahead[l] = (uintptr_t)batch->next[lanes->engine->lanes - 1].data;
}

static void begin_in_lane(Lanes *lanes, int l, Batch *batch) {
    begin(lanes->jobs[l], batch);
    load_lane(lanes, l, IV);
    look_ahead(lanes, l, batch);
}

/* After the last run of lane l: the hash, and then another message in this lane; or, when there is none, the last
   lane's message, so that those at work stay together. */
static void end_in_lane(Lanes *lanes, int l, Batch *batch) {
    const Engine *e = lanes->engine;
    Job *job = lanes->jobs[l];
    for (int w = 0; w < 8; w++) store_word(job->out + 4 * w, lanes->state[e->word_at[w] + l * e->lane_step]);
    if (batch->next < batch->end) {
        begin_in_lane(lanes, l, batch);
    } else if (l < --lanes->active) {
        save_lane(lanes, lanes->active);
        lanes->jobs[l] = lanes->jobs[lanes->active];
        load_lane(lanes, l, lanes->jobs[l]->words);
    }
}

/* The same for all lanes, when they end together and as many messages are left: leaves of one length, as a rule. */
static void end_together(Lanes *lanes, Batch *batch) {
    const Engine *e = lanes->engine;
    uint8_t hashes[32 * MAX_LANES];
    e->hashes(hashes, lanes->state);
    for (int l = 0; l < e->lanes; l++) memcpy(lanes->jobs[l]->out, hashes + 32 * l, 32);
    for (int l = 0; l < e->lanes; l++) {
        begin(lanes->jobs[l], batch);
        take_run(lanes, l);
        look_ahead(lanes, l, batch);
    }
    for (int w = 0; w < 8; w++)
        for (int l = 0; l < e->lanes; l++) lanes->state[e->word_at[w] + l * e->lane_step] = IV[w];
}

/* Goes on with the first `active` jobs and begins those of the batch, each in the first lane that falls free, until
   `floor` or fewer are under way and none is left to begin. Returns how many; they are the first jobs then. */
static int drive(const Engine *e, int floor, Batch *batch, Job **jobs, int active) {
    Lanes lanes = {.engine = e, .active = active};
    memcpy(lanes.jobs, jobs, sizeof lanes.jobs);
    for (int l = 0; l < active; l++) load_lane(&lanes, l, jobs[l]->words);
    for (; lanes.active < e->lanes && batch->next < batch->end; lanes.active++)
        begin_in_lane(&lanes, lanes.active, batch);
    while (lanes.active > floor) {
        size_t blocks = lanes.blocks[0]; /* what all lanes can do together */
        for (int l = 1; l < lanes.active; l++) blocks = lanes.blocks[l] < blocks ? lanes.blocks[l] : blocks;
        e->blocks(lanes.state, lanes.at, lanes.ahead, blocks, lanes.active);
        int ended = 0;
        for (int l = 0; l < lanes.active; l++)
            if (!(lanes.blocks[l] -= blocks)) {
                if (lanes.jobs[l]->count) take_run(&lanes, l);
                else ended++;
            }
        if (ended == e->lanes && batch->end - batch->next >= ended) end_together(&lanes, batch);
        else
            for (int l = lanes.active; ended && l--;)
                if (!lanes.blocks[l]) end_in_lane(&lanes, l, batch), ended--;
    }
    for (int l = 0; l < lanes.active; l++) save_lane(&lanes, l);
    memcpy(jobs, lanes.jobs, sizeof lanes.jobs);
    return lanes.active;
}

/* Reads each message, writes n * 32 bytes of hashes. */
static void hash_messages(const Kernel *k, uint8_t *out, const Message *messages, size_t n, size_t prefix) {
    Batch batch = {messages, messages + n, out, prefix};
    Job store[MAX_LANES], *jobs[MAX_LANES];
    for (int l = 0; l < MAX_LANES; l++) jobs[l] = &store[l];
    drive(k->narrow, 0, &batch, jobs, drive(k->wide, k->floor, &batch, jobs, 0));
}

/* Reads n * width bytes: messages of one width, with the prefix of a leaf. */
static void hash_records(const Kernel *k, uint8_t *out, const uint8_t *records, size_t n, size_t width) {
    Message messages[256];
    while (n) {
        size_t count = n < 256 ? n : 256;
        for (size_t i = 0; i < count; i++, records += width) messages[i].data = records, messages[i].size = width;
        hash_messages(k, out, messages, count, 1);
        out += 32 * count, n -= count;
    }
}

/* Reads n * 32 bytes, writes n / 2 * 32 to levels[0], n / 4 * 32 to levels[1], and so on up to one hash. */
static void hash_levels(const Kernel *k, uint8_t *const *levels, const uint8_t *hashes, size_t n) {
    for (; n > 1; hashes = *levels++) hash_nodes(k, *levels, hashes, n /= 2);
}

#ifndef KERNEL_WITHOUT_PYTHON

/* ---- 5. The Python module ---- */

/* From so many bytes on, about 50 us of work, a call lets go of the interpreter's lock: for less, waiting to get it
   back may cost this thread more than the others gain. */
#define LARGE 131072
#define UNLOCKED(bytes, statement)           \
    do {                                     \
        if ((bytes) < LARGE) {               \
            statement;                       \
        } else {                             \
            Py_BEGIN_ALLOW_THREADS;          \
            statement;                       \
            Py_END_ALLOW_THREADS;            \
        }                                    \
    } while (0)

static uint8_t *bytes_of(PyObject *object) { return (uint8_t *)PyBytes_AsString(object); }

static PyObject *new_hashes(Py_ssize_t n) {
    return n > PY_SSIZE_T_MAX / 32 ? PyErr_NoMemory() : PyBytes_FromStringAndSize(NULL, n * 32);
}

/* Takes a contiguous buffer whose length is a multiple of `unit`. */
static int take(PyObject *object, Py_buffer *view, Py_ssize_t unit) {
    if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE)) return 0;
    if (view->len % unit == 0) return 1;
    PyErr_Format(PyExc_ValueError, "%zd bytes are not a multiple of %zd", view->len, unit);
    PyBuffer_Release(view);
    return 0;
}

static int is_perfect(Py_ssize_t width) {
    if (width > 0 && !(width & (width - 1))) return 1;
    PyErr_Format(PyExc_ValueError, "a perfect subtree has 1, 2, 4, 8, ... leaves, not %zd", width);
    return 0;
}

/* One hash for each width * grain bytes of a buffer, or, if width is 0, one for the whole. */
typedef void Work(const Kernel *k, uint8_t *out, const uint8_t *in, size_t n, size_t width);

static PyObject *over_buffer(PyObject *module, PyObject *object, Py_ssize_t grain, Py_ssize_t width, Work *work) {
    const Kernel *kernel = PyModule_GetState(module);
    Py_buffer view;
    Py_ssize_t n = 1;
    PyObject *out = NULL;
    Py_ssize_t unit = !width ? grain : width > PY_SSIZE_T_MAX / grain ? PY_SSIZE_T_MAX : grain * width;
    if (!take(object, &view, unit)) return NULL;
    if (width) n = view.len / grain / width;
    else width = view.len / grain;
    if (work == fold && !is_perfect(width)) goto done;
    out = new_hashes(n);
    if (out && n) UNLOCKED(view.len, work(kernel, bytes_of(out), view.buf, (size_t)n, (size_t)width));
done:
    PyBuffer_Release(&view);
    return out;
}

static void nodes_of_buffer(const Kernel *k, uint8_t *out, const uint8_t *pairs, size_t n, size_t width) {
    (void)width, hash_nodes(k, out, pairs, n);
}

static void leaf_of_buffer(const Kernel *k, uint8_t *out, const uint8_t *data, size_t n, size_t width) {
    Message message = {width ? data : out, width};
    hash_messages(k, out, &message, n, 1);
}

static PyObject *leaf_hash(PyObject *module, PyObject *in) { return over_buffer(module, in, 1, 0, leaf_of_buffer); }
static PyObject *py_fold(PyObject *module, PyObject *in) { return over_buffer(module, in, 32, 0, fold); }
static PyObject *py_hash_nodes(PyObject *module, PyObject *in) {
    return over_buffer(module, in, 64, 1, nodes_of_buffer);
}

/* Arguments (buffer, width). A width beyond Py_ssize_t is as good as the nearest: no buffer has that many bytes. */
static int take_width(PyObject *const *args, Py_ssize_t count, Py_ssize_t *width) {
    if (count != 2) return PyErr_Format(PyExc_TypeError, "2 arguments are expected, not %zd", count), 0;
    *width = PyNumber_AsSsize_t(args[1], NULL);
    return *width != -1 || !PyErr_Occurred();
}

static PyObject *py_hash_records(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t width;
    if (!take_width(args, count, &width)) return NULL;
    if (width < 1) return PyErr_Format(PyExc_ValueError, "a record has 1 byte or more, not %zd", width);
    return over_buffer(module, args[0], 1, width, hash_records);
}

static PyObject *py_fold_many(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t width;
    if (!take_width(args, count, &width) || !is_perfect(width)) return NULL;
    return over_buffer(module, args[0], 32, width, fold);
}

static PyObject *py_hash_levels(PyObject *module, PyObject *hashes) {
    const Kernel *kernel = PyModule_GetState(module);
    Py_buffer view;
    uint8_t *levels[64];
    int made = 0;
    if (!take(hashes, &view, 32)) return NULL;
    PyObject *out = PyList_New(0);
    for (Py_ssize_t n = view.len / 32; out && n > 1;) {
        PyObject *level = new_hashes(n /= 2);
        if (level) levels[made++] = bytes_of(level);
        if (!level || PyList_Append(out, level)) Py_CLEAR(out);
        Py_XDECREF(level);
    }
    if (out) UNLOCKED(view.len, hash_levels(kernel, levels, view.buf, (size_t)view.len / 32));
    PyBuffer_Release(&view);
    return out;
}

static PyObject *node_hash(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_buffer left, right;
    PyObject *out = NULL;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "2 arguments are expected, not %zd", count);
    if (!take(args[0], &left, 1)) return NULL;
    if (take(args[1], &right, 1)) {
        if (left.len != 32 || right.len != 32) {
            PyErr_Format(PyExc_ValueError, "a node has two hashes of 32 bytes, not of %zd and %zd", left.len,
                         right.len);
        } else if ((out = new_hashes(1))) {
            uint8_t pair[64];
            memcpy(pair, left.buf, 32), memcpy(pair + 32, right.buf, 32);
            hash_nodes(PyModule_GetState(module), bytes_of(out), pair, 1);
        }
        PyBuffer_Release(&right);
    }
    PyBuffer_Release(&left);
    return out;
}

/* So many messages at a time are taken, hashed and given back: enough that the lanes seldom run dry. */
#define CHUNK 1024
typedef struct {
    Message messages[CHUNK];
    Py_buffer views[CHUNK]; /* of those that are no `bytes` */
    Py_ssize_t held, bytes;
} Chunk;

static int take_messages(Chunk *chunk, PyObject *items, Py_ssize_t first, Py_ssize_t count) {
    chunk->held = chunk->bytes = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GetItem(items, first + i);
        const void *data;
        Py_ssize_t size;
        if (PyBytes_CheckExact(item)) {
            PyBytes_AsStringAndSize(item, (char **)&data, &size); /* cannot fail */
        } else {
            Py_buffer *view = &chunk->views[chunk->held];
            if (!take(item, view, 1)) return 0;
            data = view->buf, size = view->len, chunk->held++;
        }
        chunk->messages[i].data = size ? data : chunk, chunk->messages[i].size = (size_t)size;
        chunk->bytes += size < LARGE ? size : LARGE; /* cannot overflow */
    }
    return 1;
}

static PyObject *hash_each(PyObject *module, PyObject *datas, size_t prefix) {
    const Kernel *kernel = PyModule_GetState(module);
    PyObject *items = PySequence_Tuple(datas); /* holds every item, whatever becomes of the sequence */
    if (!items) return NULL;
    Py_ssize_t n = PyTuple_Size(items);
    PyObject *out = new_hashes(n);
    Chunk *chunk = PyMem_Malloc(sizeof(Chunk));
    if (!chunk) {
        Py_CLEAR(out);
        PyErr_NoMemory();
    }
    for (Py_ssize_t at = 0; out && at < n; at += CHUNK) {
        Py_ssize_t count = n - at < CHUNK ? n - at : CHUNK;
        int taken = take_messages(chunk, items, at, count);
        uint8_t *hashes = bytes_of(out) + 32 * at;
        if (taken) UNLOCKED(chunk->bytes, hash_messages(kernel, hashes, chunk->messages, (size_t)count, prefix));
        else Py_CLEAR(out);
        while (chunk->held) PyBuffer_Release(&chunk->views[--chunk->held]);
    }
    PyMem_Free(chunk);
    Py_DECREF(items);
    return out;
}

static PyObject *py_hash_leaves(PyObject *module, PyObject *datas) { return hash_each(module, datas, 1); }
static PyObject *py_hash_messages(PyObject *module, PyObject *datas) { return hash_each(module, datas, 0); }

#define ONE(function) (function), METH_O
#define TWO(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL
static PyMethodDef METHODS[] = {
    {"leaf_hash", ONE(leaf_hash), "leaf_hash(data, /)\n--\n\nSHA-256(0x00 || data)."},
    {"node_hash", TWO(node_hash), "node_hash(left, right, /)\n--\n\nSHA-256(0x01 || left || right)."},
    {"hash_leaves", ONE(py_hash_leaves), "hash_leaves(datas, /)\n--\n\nleaf_hash of each."},
    {"hash_records", TWO(py_hash_records), "hash_records(records, width, /)\n--\n\nleaf_hash of each `width` bytes."},
    {"hash_messages", ONE(py_hash_messages), "hash_messages(datas, /)\n--\n\nPlain SHA-256 of each."},
    {"hash_nodes", ONE(py_hash_nodes), "hash_nodes(pairs, /)\n--\n\nnode_hash of each 64 bytes."},
    {"hash_levels", ONE(py_hash_levels), "hash_levels(hashes, /)\n--\n\nAll perfect subtrees above, level by level."},
    {"fold", ONE(py_fold), "fold(hashes, /)\n--\n\nThe root of a perfect subtree."},
    {"fold_many", TWO(py_fold_many), "fold_many(hashes, width, /)\n--\n\nThe roots of perfect subtrees, side by side."},
    {NULL, NULL, 0, NULL}};

/* Each import chooses anew and keeps its choice in its own module: tests import it once for every engine. */
static int choose(PyObject *module) {
    Kernel *kernel = PyModule_GetState(module);
    if (is_set("CTLOG_NO_KERNEL")) {
        PyErr_SetString(PyExc_ImportError, "the C kernel is switched off by CTLOG_NO_KERNEL");
        return -1;
    }
    *kernel = choose_kernel();
    return PyModule_AddStringConstant(module, "IMPLEMENTATION", kernel->wide->name);
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)choose}, {0, NULL}};
static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "ctlog.merkle._kernel", .m_size = sizeof(Kernel),
                             .m_doc = "RFC 6962 hashes in batches.", .m_methods = METHODS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&MODULE); }
#endif
