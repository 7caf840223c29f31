/* The lookups of libc, and the names that the shim answers itself. */
#define _GNU_SOURCE
#include "hostent.h"
#include "shim_internal.h"

#include <linux/futex.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Thread_local bool in_lookup;

static atomic_int running;
static atomic_uint released;

EXPORT int lookups_running(void)
{
    return running;
}

EXPORT void lookups_release(void)
{
    released = 1;
    syscall(SYS_futex, &released, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

EXPORT void lookups_hold(void)
{
    released = 0;
}

#ifndef WITHOUT_LOOKUPS

static int loopback(const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    REAL(getaddrinfo);
    struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    if (hints != NULL && hints->ai_socktype != 0)
        numeric.ai_socktype = hints->ai_socktype;
    int family = hints == NULL ? AF_UNSPEC : hints->ai_family;
    struct addrinfo *v6 = NULL, *v4 = NULL;
    int answer = 0;
    if (family != AF_INET)
        answer = real("::1", service, &numeric, &v6);
    if (answer == 0 && family != AF_INET6)
        answer = real("127.0.0.1", service, &numeric, &v4);
    if (answer != 0) {
        if (v6 != NULL)
            freeaddrinfo(v6);
        return answer;
    }
    if (v6 != NULL)
        v6->ai_next = v4;
    *ret_list = v6 != NULL ? v6 : v4;
    return 0;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

/* Takes the time that the name stands for; false if it is none of ours. */
static bool take_time(const char *node)
{
    if (strcmp(node, "slow.test") == 0)
        nanosleep(&(struct timespec){.tv_nsec = random_number() % 5000000}, NULL);
    else if (ends_with(node, "stuck.test"))
        while (released == 0)
            syscall(SYS_futex, &released, FUTEX_WAIT, 0, NULL, NULL, 0);
    else
        return strcmp(node, "dual.test") == 0;
    return true;
}

EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    REAL(getaddrinfo);
    if (!from_library(CALLER))
        return real(node, service, hints, ret_list);
    /* A numeric host is no lookup: it fails only for want of memory. */
    bool numeric = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
    int error = numeric ? 0 : fault(FN_GETADDRINFO, CALLER, 0);
    if (error > LOOKUP_ERRNO)
        FAIL_WITH(error - LOOKUP_ERRNO, EAI_SYSTEM);
    if (error != 0)
        return error;
    running++;
    in_lookup = true;
    int answer;
    if (numeric || node == NULL)
        answer = real(node, service, hints, ret_list);
    else if (strcmp(node, "none.test") == 0)
        answer = EAI_NONAME;
    else if (take_time(node))
        answer = loopback(service, hints, ret_list);
    else
        answer = real(node, service, hints, ret_list);
    in_lookup = false;
    running--;
    return answer;
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size,
                            struct hostent **ret_host, int *ret_host_error)
{
    REAL(gethostbyname2_r);
    if (!from_library(CALLER))
        return real(name, family, host, buffer, size, ret_host, ret_host_error);
    int error = fault(FN_GETHOSTBYNAME, CALLER, 0);
    if (error != 0) {
        *ret_host = NULL;
        *ret_host_error = error > HOST_ERROR ? error - HOST_ERROR : NETDB_INTERNAL;
        /* netdb(3): a host that is not there is no error of the function. */
        return error > HOST_ERROR ? 0 : (errno = error > LOOKUP_ERRNO ? error - LOOKUP_ERRNO : error);
    }
    running++;
    in_lookup = true;
    int answer = 0;
    if (strcmp(name, "none.test") == 0) {
        *ret_host = NULL;
        *ret_host_error = HOST_NOT_FOUND;
    } else if (take_time(name)) {
        answer = loopback_hostent(family, host, buffer, size, ret_host, ret_host_error);
    } else {
        answer = real(name, family, host, buffer, size, ret_host, ret_host_error);
    }
    in_lookup = false;
    running--;
    return answer;
}

#endif
