/* Which calls are the library's, and which of them fails. */
#define _GNU_SOURCE
#include "shim_internal.h"

#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* ---- Whose call ------------------------------------------------------------------------------------------------- */

static _Atomic(uintptr_t) library_start, library_end;

static int look_at_object(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (strstr(info->dlpi_name, "libhappysock.so") == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
            library_start = info->dlpi_addr + header->p_vaddr;
            library_end = library_start + header->p_memsz;
        }
    }
    return 1;
}

EXPORT bool shim_sees_library(void)
{
    if (library_start == 0)
        dl_iterate_phdr(look_at_object, NULL);
    return library_start != 0;
}

__attribute__((constructor)) static void find_library(void)
{
    shim_sees_library();
}

bool from_library(const void *caller)
{
    return (uintptr_t)caller >= library_start && (uintptr_t)caller < library_end;
}

/* ---- Which call fails ------------------------------------------------------------------------------------------- */

static atomic_int armed_function = -1;
static atomic_uint armed_nth, armed_calls, random_one_in, random_state = 1;
static atomic_int armed_error;
static atomic_size_t armed_size;
static atomic_bool fired;
static atomic_ulong total;

EXPORT void fault_arm(enum function function, unsigned nth, int error, size_t size)
{
    armed_function = -1;
    armed_calls = 0;
    armed_nth = nth;
    armed_error = error;
    armed_size = size;
    fired = false;
    armed_function = function;
}

EXPORT void fault_arm_at_random(unsigned one_in)
{
    random_one_in = one_in;
}

EXPORT bool fault_disarm(void)
{
    armed_function = -1;
    random_one_in = 0;
    return fired;
}

EXPORT unsigned fault_calls(void)
{
    return armed_calls;
}

EXPORT unsigned long fault_total(void)
{
    return total;
}

unsigned random_number(void)
{
    /* A linear congruence is random enough to choose calls by; the high bits are the good ones. */
    unsigned old = random_state, next;
    do
        next = old * 1664525u + 1013904223u;
    while (!atomic_compare_exchange_weak(&random_state, &old, next));
    return next >> 8;
}

int fault(enum function function, const void *caller, size_t size)
{
    if (!from_library(caller))
        return 0;
    unsigned one_in = random_one_in;
    if (one_in != 0 && function != FN_ALLOCATE && random_number() % one_in == 0) {
        size_t count;
        const int *errors = function_errors(function, &count);
        total++;
        return errors[random_number() % count];
    }
    if (armed_function != (int)function || (armed_size != 0 && armed_size != size))
        return 0;
    if (atomic_fetch_add(&armed_calls, 1) + 1 != armed_nth)
        return 0;
    fired = true;
    total++;
    return armed_error;
}
