/*
 * getaddrinfo(3) by happysock: the same answers, codes and lists, which libc's freeaddrinfo(3) frees. What happysock cannot
 * look up as libc would, libc is asked for on a thread.
 */
#define _GNU_SOURCE
#include "answers.h"
#include "held.h"
#include "next.h"

#include <errno.h>
#include <string.h>

/* No EAI_* code: this could not be tried, libc has to be asked. */
#define NOT_TRIED 1

__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
            struct addrinfo **restrict ret_list);

static int
wait_for(happy_lookup *lookup)
{
    struct pollfd descriptor = {.fd = happy_lookup_get_fd(lookup), .events = POLLIN};
    int status;

    if (descriptor.fd < 0) return HAPPY_ESYSCALL;
    while ((status = happy_lookup_dispatch(lookup)) == HAPPY_EAGAIN) {
        /* As in libc, a signal does not end a lookup. */
        if (held_wait(&descriptor, 1, NULL) < 0 && errno != EINTR) return HAPPY_ESYSCALL;
    }
    return status;
}

static int
look_up(held_objects *held, const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    const char *source;
    int error;

    if (happy_lookup_new(node, service, hints, -1, &held->lookup) != HAPPY_OK) return NOT_TRIED;
    if (happy_lookup_start(held->lookup) != HAPPY_OK || wait_for(held->lookup) != HAPPY_OK) return NOT_TRIED;
    source = happy_lookup_get_source(held->lookup);
    error = happy_lookup_take_result(held->lookup, ret_list);
    /*
     * A program that knows of no thread may do what only a program without one may, such as unshare(2). One that has given
     * its answer and is not idle yet stays for the usual five seconds.
     */
    if (source && strcmp(source, "libc") == 0) {
        int lookup_errno = errno;

        happy_lookup_end_idle_workers();
        errno = lookup_errno;
    }
    return error;
}

int
getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
            struct addrinfo **restrict ret_list)
{
    held_objects *held = NULL;
    int error = NOT_TRIED;

    /* Without a name there is nothing to look up, and what a server listens at is not for connecting to. */
    if (!node || !ret_list || (hints && (hints->ai_flags & (AI_PASSIVE | AI_NUMERICHOST))) || !next_getaddrinfo_is_of_libc()) {
        return next_getaddrinfo(node, service, hints, ret_list);
    }
    held = held_begin(__builtin_frame_address(0));
    if (held) {
        error = look_up(held, node, service, hints, ret_list);
        held_end();
    }
    if (error == NOT_TRIED) error = next_getaddrinfo(node, service, hints, ret_list);
    if (error == 0) answers_keep(node, service, hints ? hints->ai_family : AF_UNSPEC, *ret_list);
    return error;
}
