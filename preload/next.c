#define _GNU_SOURCE
#include "next.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <stdatomic.h>
#include <stddef.h>

typedef int (*getaddrinfo_function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef int (*connect_function)(int, const struct sockaddr *, socklen_t);

/*
 * Each is found once, by the constructor below or by whoever calls before that has run: the constructor of another
 * library. Two threads that look at the same time find the same.
 */
static _Atomic(getaddrinfo_function) found_getaddrinfo;
static _Atomic(connect_function) found_connect;

static getaddrinfo_function
find_getaddrinfo(void)
{
    getaddrinfo_function function = atomic_load_explicit(&found_getaddrinfo, memory_order_relaxed);

    if (!function) {
        function = (getaddrinfo_function)dlsym(RTLD_NEXT, "getaddrinfo");
        atomic_store_explicit(&found_getaddrinfo, function, memory_order_relaxed);
    }
    return function;
}

static connect_function
find_connect(void)
{
    connect_function function = atomic_load_explicit(&found_connect, memory_order_relaxed);

    if (!function) {
        function = (connect_function)dlsym(RTLD_NEXT, "connect");
        atomic_store_explicit(&found_connect, function, memory_order_relaxed);
    }
    return function;
}

/* connect(2) may be called by a signal handler, dlsym(3) may not: so both are found before main(). */
__attribute__((constructor)) static void
find_both(void)
{
    find_getaddrinfo();
    find_connect();
}

int
next_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    getaddrinfo_function function = find_getaddrinfo();

    if (function) return function(node, service, hints, ret_list);
    errno = ENOSYS;
    return EAI_SYSTEM;
}

int
next_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    connect_function function = find_connect();

    if (function) return function(fd, address, length);
    errno = ENOSYS;
    return -1;
}

static bool
is_of_libc(void *function)
{
    Dl_info libc, other;

    return function && dladdr((void *)gnu_get_libc_version, &libc) && dladdr(function, &other) && libc.dli_fbase == other.dli_fbase;
}

bool
next_getaddrinfo_is_of_libc(void)
{
    return is_of_libc((void *)find_getaddrinfo());
}

bool
next_connect_is_of_libc(void)
{
    return is_of_libc((void *)find_connect());
}

/*
 * The archive of happysock is linked with --wrap for both names: what it asks libc for goes past the functions that this
 * library exports, and does not come back to them.
 */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);

int
__wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    return next_getaddrinfo(node, service, hints, ret_list);
}

int
__wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return next_connect(fd, address, length);
}

/*
 * Tells happysock, in this library and anywhere else in the process, what stands behind this library, so that it takes
 * this one for none that was put before libc: src/sys/process.rs.
 */
__attribute__((visibility("default"))) void *happysock_preload_next_getaddrinfo(void);

void *
happysock_preload_next_getaddrinfo(void)
{
    return (void *)find_getaddrinfo();
}
