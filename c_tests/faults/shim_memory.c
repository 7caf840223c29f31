/* The allocator: counts what the library holds, and what libc allocates for it. */
#define _GNU_SOURCE
#include "shim_internal.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* glibc's own names for its allocator: they can be called before dlsym(3) can. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* In front of every block of the library's. The mark depends on the address, and is wiped when the block is freed. */
struct header {
    uint64_t mark;
    uint32_t size, offset;
};
#define MARK 0x9e3779b97f4a7c15u
_Static_assert(sizeof(struct header) == 16, "a block stays aligned");

static atomic_size_t bytes;
static atomic_long blocks;

EXPORT size_t library_bytes(void)
{
    return bytes;
}

EXPORT long library_blocks(void)
{
    return blocks;
}

static struct header *header_of(void *block)
{
    struct header *header = (struct header *)block - 1;
    return header->mark == (MARK ^ (uintptr_t)block) ? header : NULL;
}

static void *tracked(size_t alignment, size_t size)
{
    uint32_t offset = alignment > sizeof(struct header) ? (uint32_t)alignment : sizeof(struct header);
    char *base = __libc_memalign(offset, size + offset);
    if (base == NULL)
        return NULL;
    char *block = base + offset;
    ((struct header *)block)[-1] = (struct header){MARK ^ (uintptr_t)block, (uint32_t)size, offset};
    bytes += size;
    blocks++;
    return block;
}

static void untracked(void *block, struct header *header)
{
    bytes -= header->size;
    blocks--;
    header->mark = 0;
    __libc_free((char *)block - header->offset);
}

EXPORT void *malloc(size_t size)
{
    if (!from_library(CALLER) && !in_lookup)
        return __libc_malloc(size);
    if (fault(FN_ALLOCATE, CALLER, size) != 0)
        FAIL_WITH(ENOMEM, NULL);
    return tracked(0, size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!from_library(CALLER) && !in_lookup)
        return __libc_calloc(count, size);
    if (fault(FN_ALLOCATE, CALLER, count * size) != 0)
        FAIL_WITH(ENOMEM, NULL);
    void *block = tracked(0, count * size);
    return block == NULL ? NULL : memset(block, 0, count * size);
}

EXPORT void *realloc(void *old, size_t size)
{
    struct header *header = old == NULL ? NULL : header_of(old);
    if (header == NULL && !(old == NULL && from_library(CALLER)))
        return __libc_realloc(old, size);
    if (fault(FN_ALLOCATE, CALLER, size) != 0)
        FAIL_WITH(ENOMEM, NULL);
    void *block = tracked(0, size);
    if (block != NULL && header != NULL) {
        memcpy(block, old, header->size < size ? header->size : size);
        untracked(old, header);
    }
    return block;
}

EXPORT int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
    bool theirs = from_library(CALLER);
    if (theirs && fault(FN_ALLOCATE, CALLER, size) != 0)
        return ENOMEM;
    void *block = theirs ? tracked(alignment, size) : __libc_memalign(alignment, size);
    if (block == NULL)
        return ENOMEM;
    *ret_block = block;
    return 0;
}

EXPORT void free(void *block)
{
    struct header *header = block == NULL ? NULL : header_of(block);
    if (header == NULL)
        __libc_free(block);
    else
        untracked(block, header);
}
