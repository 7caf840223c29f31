#define _GNU_SOURCE
#include "held.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

static _Thread_local struct {
    held_objects objects;
    /* The caller's. */
    sigset_t signals;
    int cancel_state;
    /* Where the frame of the call is; NULL while there is none. */
    const void *frame;
} held;

static void
release(void)
{
    held_objects *objects = &held.objects;

    happy_lookup_unref(objects->lookup);
    happy_connect_free(objects->connect);
    if (objects->fd >= 0) fcntl(objects->fd, F_SETFL, objects->fd_flags);
    *objects = (held_objects){.fd = -1};
}

/*
 * Whether the thread is still in the call that holds something. A handler's frames lie below that of the call that it has
 * interrupted, unless it has a stack of its own; a call that was left by a jump has none, and the next one's is where its
 * was, or above. When in doubt the answer is yes, and the objects are left alone.
 */
static bool
is_interrupted(const void *frame)
{
    stack_t other;

    if (sigaltstack(NULL, &other) != 0 || (other.ss_flags & SS_ONSTACK)) return true;
    return (uintptr_t)frame < (uintptr_t)held.frame;
}

held_objects *
held_begin(const void *frame)
{
    int error = errno;
    sigset_t all;

    if (held.frame && is_interrupted(frame)) return NULL;
    /* What the socket of a call that was left is by now, nobody knows. */
    held.objects.fd = -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &held.signals);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &held.cancel_state);
    held.frame = frame;
    release();
    errno = error;
    return &held.objects;
}

void
held_end(void)
{
    int error = errno, previous;
    sigset_t signals = held.signals;

    release();
    held.frame = NULL;
    pthread_setcancelstate(held.cancel_state, &previous);
    /* Last: a handler may run here, and call this library. */
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    errno = error;
}

static void
cancelled(void *unused)
{
    (void)unused;
    held_end();
}

int
held_wait(struct pollfd *descriptors, nfds_t count, const struct timespec *limit)
{
    int ready, previous;

    pthread_cleanup_push(cancelled, NULL);
    pthread_setcancelstate(held.cancel_state, &previous);
    ready = ppoll(descriptors, count, limit, &held.signals);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &previous);
    pthread_cleanup_pop(0);
    return ready;
}
