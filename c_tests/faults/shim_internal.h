/* What the parts of the shim share; shim.h is what its users see. */
#ifndef SHIM_INTERNAL_H
#define SHIM_INTERNAL_H

#include "shim.h"

#include <dlfcn.h>
#include <errno.h>

#define EXPORT __attribute__((visibility("default")))
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Whether a return address is in the library. */
bool from_library(const void *caller);

#define CALLER __builtin_return_address(0)

/* The next definition of a function after this object's. The pointer is kept; looking twice at once does no harm. */
#define REAL(name)                                                                                                     \
    static _Atomic(void *) real_##name;                                                                                \
    if (real_##name == NULL)                                                                                           \
        real_##name = dlsym(RTLD_NEXT, #name);                                                                         \
    __typeof__(&name) real = (__typeof__(&name))real_##name

/* The error with which this call is to fail, or 0. `size` is an allocation's, else 0. */
int fault(enum function function, const void *caller, size_t size);

#define FAIL_WITH(error, answer)                                                                                       \
    do {                                                                                                               \
        errno = (error);                                                                                               \
        return (answer);                                                                                               \
    } while (0)

/* By chance, 0 to 2^24 - 1. */
unsigned random_number(void);

/* Set while libc looks up for the library: what it allocates is the library's to free. */
extern _Thread_local bool in_lookup __attribute__((tls_model("initial-exec")));

#endif
