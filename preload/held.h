/*
 * What a call of this library has open while it waits, one call a thread.
 *
 * A program may leave a wait in the middle: by siglongjmp(3) out of a signal handler, as wget does at a limit, or by
 * pthread_cancel(3). So all signals are blocked and cancelling is held off while code of ours or of happysock runs, and both
 * are let in only while ppoll(2) waits. What a wait that was left had open stays here until the thread's next call.
 */
#ifndef PRELOAD_HELD_H
#define PRELOAD_HELD_H

#include <stdbool.h>
#include <poll.h>
#include <time.h>
#include <happysock.h>

typedef struct {
    happy_lookup *lookup;
    happy_connect *connect;
    /* The caller's socket while it is in non-blocking mode, and its flags before; or -1. */
    int fd, fd_flags;
} held_objects;

/*
 * Begins a call whose frame is at `frame`. NULL where the thread is in another one already, which a signal handler has
 * interrupted: there is nothing to be done here then.
 */
held_objects *held_begin(const void *frame);

/* Waits as ppoll(2) does, with the signals and the cancelling of the caller let in. */
int held_wait(struct pollfd *descriptors, nfds_t count, const struct timespec *limit);

/* Ends the call: closes and restores what is still held. errno stays as it is. */
void held_end(void);

#endif
