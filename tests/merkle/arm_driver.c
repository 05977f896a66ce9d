/* The kernel without Python, as a program: so that its ARM code runs, under an emulator, the suite that all others run.

   Asked on standard input, all numbers little-endian: one byte for the function, a u32 `number`, a u32 count of buffers,
   and each buffer as u32 length and bytes. Answered on standard output: u32 length and bytes.

     i  the name of the implementation        n  hash_nodes(buffer)            l  hash_levels(buffer), joined
     m  hash_messages(buffers), with the      r  hash_records(buffer, number)  f  fold_many(buffer, number)
        prefix of a leaf if number is 1

   Every buffer ends, and so does the answer, where a page begins that cannot be read or written: a step too far ends the
   program. */

#define _GNU_SOURCE
#define KERNEL_WITHOUT_PYTHON
#include "../../ctlog/merkle/kernel.c"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(2);
}

static size_t mapped(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page + page;
}

/* `size` bytes with nothing behind them. */
static uint8_t *guarded(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = mapped(size);
    uint8_t *at = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + whole - page, page, PROT_NONE)) die("mmap");
    return at + whole - page - size;
}

static void give_back(uint8_t *bytes, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (munmap(bytes + size + page - mapped(size), mapped(size))) die("munmap");
}

static void take(void *to, size_t size) {
    if (size && fread(to, 1, size, stdin) != size) exit(0);
}

static void answer(const uint8_t *bytes, size_t size) {
    uint32_t length = (uint32_t)size;
    fwrite(&length, 1, 4, stdout);
    fwrite(bytes, 1, size, stdout);
    fflush(stdout);
}

static size_t levels_of(const Kernel *kernel, uint8_t *out, const uint8_t *hashes, size_t n) {
    uint8_t *levels[64], *at = out;
    int made = 0;
    for (size_t count = n / 2; count; at += 32 * count, count /= 2) levels[made++] = at;
    hash_levels(kernel, levels, hashes, n);
    return (size_t)(at - out);
}

int main(void) {
    const Kernel kernel = choose_kernel();
    for (;;) {
        uint8_t function;
        uint32_t number, count;
        take(&function, 1), take(&number, 4), take(&count, 4);
        Message *messages = calloc(count + 1, sizeof *messages);
        uint8_t **buffers = calloc(count + 1, sizeof *buffers);
        if (!messages || !buffers) die("calloc");
        for (uint32_t i = 0; i < count; i++) {
            uint32_t length;
            take(&length, 4);
            buffers[i] = guarded(length);
            take(buffers[i], length);
            messages[i].data = buffers[i], messages[i].size = length;
        }
        const uint8_t *data = messages[0].data;
        size_t size = messages[0].size, room = 32 * count;
        if (function == 'n' || function == 'l') room = size / 64 * 32;
        if (function == 'l') room = size; /* at most so much */
        if (function == 'r') room = size / number * 32;
        if (function == 'f') room = size / number;
        uint8_t *out = guarded(room);
        if (function == 'i') answer((const uint8_t *)kernel.wide->name, strlen(kernel.wide->name));
        else if (function == 'n') hash_nodes(&kernel, out, data, size / 64), answer(out, room);
        else if (function == 'm') hash_messages(&kernel, out, messages, count, number), answer(out, room);
        else if (function == 'r') hash_records(&kernel, out, data, size / number, number), answer(out, room);
        else if (function == 'f') fold(&kernel, out, data, size / 32 / number, number), answer(out, room);
        else if (function == 'l') answer(out, levels_of(&kernel, out, data, size / 32));
        else exit(3);
        give_back(out, room);
        for (uint32_t i = 0; i < count; i++) give_back(buffers[i], messages[i].size);
        free(messages), free(buffers);
    }
}
