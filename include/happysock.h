/*
 * happysock 0.1.0: a host name becomes a connected TCP socket.
 *
 * This file is generated (make header) from include/happysock.h.in and src/capi; do not edit it.
 *
 * Two jobs
 *
 *   A lookup that can be interrupted: happy_resolve, and rb_getaddrinfo_happy for a blocking call with a limit.
 *   getaddrinfo(3) runs on a worker thread; the caller waits with a limit, polls a descriptor, cancels from any thread
 *   or signal handler, or walks away.
 *
 *   A connect by name: Happy Eyeballs, RFC 8305. Both address families are looked up at once, connection attempts are
 *   raced with the standard's delays, the first to complete wins and the others are closed. init_inetsock_happy blocks;
 *   happy_connect is one race for a scheduler of the caller's; happy_multi drives many on one thread.
 *
 * Example
 *
 *     #include <happysock.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *     #include <unistd.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         happy_options options = HAPPY_OPTIONS_INIT;
 *         happy_result result = HAPPY_RESULT_INIT;
 *         options.open_timeout_ms = 5000;
 *         int fd = init_inetsock_happy(argc > 1 ? argv[1] : "localhost", argc > 2 ? argv[2] : "http", &options, &result);
 *         if (fd < 0) {
 *             fprintf(stderr, "%s\n",
 *                     result.status == HAPPY_ERESOLVE ? gai_strerror(result.gai_error)
 *                     : result.sys_errno != 0         ? strerror(result.sys_errno)
 *                                                     : happy_status_str(result.status));
 *             return 1;
 *         }
 *         printf("connected over %s\n", result.address.ss_family == AF_INET6 ? "IPv6" : "IPv4");
 *         return close(fd);
 *     }
 *
 *   cc example.c $(pkg-config --cflags --libs happysock)
 *
 * Conventions
 *
 *   Functions are named happy_<noun>_<verb>, constants HAPPY_<NOUN>_<NAME>. The object comes first, then inputs, then
 *   outputs named ret_*, which are written only on success unless the function says otherwise; userdata comes last.
 *   Where a function takes an object, NULL is safe: freeing it does nothing, other functions answer with the error they
 *   document. Limits and delays are in milliseconds; a limit of -1 is none, a limit of 0 is over at once. Structs that
 *   the caller fills begin with `size` and are set up by their _INIT macro: a program keeps working with a later library
 *   whose structs have grown.
 *
 * Errors
 *
 *   Statuses are HAPPY_OK (0) and negative numbers from -7001 down, which no EAI_* code of <netdb.h> uses. Names come from
 *   happy_status_str(). A refused argument changes nothing; happy_error_message() names it.
 *
 * Ownership
 *
 *   _new makes an object for one owner, _free ends it. happy_resolve is reference-counted: _ref, _unref. _get_* lends,
 *   _take_* hands over. Strings and structs that are passed in are copied before the call returns. No _free and no
 *   _unref waits for a lookup: a worker that is still inside libc frees what is left when it comes back.
 *
 * Threads, signals, fork
 *
 *   Each function says which threads may call it. happy_resolve_cancel, happy_connect_cancel and
 *   happy_connect_interrupt are async-signal-safe. Worker threads block all signals, are bounded in number, shared by the
 *   process and kept for a while when idle. fork(2) never waits for a lookup: the child starts with no worker, makes its
 *   own when it needs one, and gets HAPPY_EFORKED from objects that were made before the fork, which it may still free.
 *   Descriptors that the library makes are close-on-exec from birth.
 */
#ifndef HAPPYSOCK_H
#define HAPPYSOCK_H

#include <stddef.h>
#include <stdint.h>
#include <netdb.h>
#include <sys/socket.h>

/** The version of this header, as numbers that #if can compare. */
#define HAPPYSOCK_VERSION_MAJOR 0
#define HAPPYSOCK_VERSION_MINOR 1
#define HAPPYSOCK_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Statuses --------------------------------------------------------------------------------------------------- */

/** Done. */
#define HAPPY_OK 0
/** A name could not be resolved; `gai_error` has the `EAI_*` code. */
#define HAPPY_ERESOLVE (-7001)
/** A system call failed; `sys_errno` and `syscall` say which and how. */
#define HAPPY_ESYSCALL (-7002)
/** A limit that the caller set was reached. */
#define HAPPY_ETIMEOUT (-7003)
/** Cancelled by the caller. */
#define HAPPY_ECANCELLED (-7004)
/** An argument is not acceptable; nothing was done. happy_error_message() names it. */
#define HAPPY_EINVALID (-7005)
/** Out of memory. */
#define HAPPY_ENOMEM (-7006)
/** The object was made before a fork and belongs to the parent process. */
#define HAPPY_EFORKED (-7007)
/** Not finished yet. */
#define HAPPY_EAGAIN (-7008)
/** Called from inside a callback that this object is running. */
#define HAPPY_EREENTRANT (-7009)
/** The call does not fit the state: already started, already taken. */
#define HAPPY_ESTATE (-7010)
/** An error inside the library (a panic that was stopped at the boundary). The object is of no further use but may be freed. */
#define HAPPY_EINTERNAL (-7011)
/** No such connect or descriptor in the handle: unknown, or it has ended. */
#define HAPPY_ENOENT (-7012)

/** Names a status in a few English words. Never NULL; the text is static. Any thread. */
const char *happy_status_str(int status);

/**
 * What the latest failing call of this thread said about its failure, with the name of the argument at fault where there
 * is one; "" when none has failed yet. The text lives until the next failing call of the same thread.
 */
const char *happy_error_message(void);

/* ---- Lookups ---------------------------------------------------------------------------------------------------- */

/**
 * One lookup, as getaddrinfo(3) makes it, that can be waited for with a limit, cancelled, polled and abandoned.
 *
 * Reference-counted: happy_resolve_new gives one reference. Whoever drops the last one frees all of it; a worker that is still
 * inside libc then frees the late answer. Any function may be called from any thread.
 */
typedef struct happy_resolve happy_resolve;

/**
 * getaddrinfo(3) with a limit: same arguments, same answers, same `EAI_*` codes, same ownership (freeaddrinfo(3)).
 *
 * `timeout_ms`: -1 none, 0 over at once. When the limit is reached: EAI_SYSTEM with errno ETIMEDOUT, at once, whatever libc is
 * doing. EAI_SYSTEM otherwise comes with the errno of the lookup; EAI_SYSTEM with ENOENT (an mdns4 entry in
 * nsswitch.conf) reads EAI_NONAME. A numeric service above 65535 or with a sign is EAI_SERVICE. `timeout_ms` below -1 or
 * `ret_res` NULL: EAI_SYSTEM with errno EINVAL. Any thread.
 */
int rb_getaddrinfo_happy(const char *node,
                         const char *service,
                         const struct addrinfo *hints,
                         struct addrinfo **ret_res,
                         int timeout_ms);

/**
 * Makes a lookup; nothing is asked yet. All arguments are copied.
 *
 * `node`, `service`, `hints`: as getaddrinfo(3) takes them. `timeout_ms`: limit from happy_resolve_start on, -1 none, 0 over at once.
 * Returns one reference, to be dropped with happy_resolve_unref; NULL with errno EINVAL (a `timeout_ms` below -1) or ENOMEM.
 * A host or service that cannot be resolved is not an error here: it is the lookup's answer.
 */
happy_resolve *happy_resolve_new(const char *node,
                                 const char *service,
                                 const struct addrinfo *hints,
                                 int timeout_ms);

/** Takes one more reference and returns `self`. NULL answers NULL. */
happy_resolve *happy_resolve_ref(happy_resolve *self);

/** Drops a reference. Never waits: the last one cancels a lookup that is still running. NULL is a no-op. */
void happy_resolve_unref(happy_resolve *self);

/**
 * Starts the lookup and returns at once. IP literals with numeric services are answered on the spot, without a thread.
 *
 * HAPPY_OK; HAPPY_ESTATE when it was started before; HAPPY_EFORKED; HAPPY_ESYSCALL with errno EAGAIN when no thread could be
 * made; HAPPY_EINVALID for NULL.
 */
int happy_resolve_start(happy_resolve *self);

/**
 * Waits until the lookup is finished, its limit is reached or it is cancelled. Signals do not end the wait. Returns NULL; has the
 * shape of the function that rb_thread_call_without_gvl2 takes.
 *
 * Several threads may wait at the same time. A lookup that was not started returns at once.
 */
void *happy_resolve_wait(void *self);

/**
 * Cancels the lookup: a wait returns at once and the answer, if none came yet, is EAI_SYSTEM with errno ECANCELED.
 *
 * Any thread, any signal handler, any number of times, before the start and after the end too; takes microseconds whatever
 * the lookup is doing. Has the shape of an unblocking function of rb_thread_call_without_gvl2. NULL is a no-op.
 */
void happy_resolve_cancel(void *self);

/**
 * A descriptor that becomes readable once the lookup is finished or cancelled, and stays so. It is the lookup's own: do not
 * read it or close it; it lives until the last reference is dropped. The limit does not make it readable: poll with a timeout.
 *
 * -1 with errno when no descriptor could be made, or for NULL (EINVAL).
 */
int happy_resolve_get_fd(happy_resolve *self);

/**
 * Takes the answer, once.
 *
 * 0 and the list in `*ret_res`, which the caller frees with freeaddrinfo(3); an `EAI_*` code as getaddrinfo(3) gives it, with errno set
 * for EAI_SYSTEM (ETIMEDOUT: the limit was reached; ECANCELED: cancelled); HAPPY_EAGAIN while it runs;
 * HAPPY_ESTATE when it was not started or the answer was taken before; HAPPY_EFORKED; HAPPY_EINVALID for NULL.
 * `*ret_res` is written only with 0.
 */
int happy_resolve_take_result(happy_resolve *self,
                              struct addrinfo **ret_res);

/**
 * Sets the greatest number of worker threads that lookups of this process may occupy at the same time (512 unless set); lookups past it
 * wait in the order of their start, with their limits honoured. Workers are made on demand and leave when idle. Any thread, any time.
 *
 * HAPPY_OK, or HAPPY_EINVALID for 0.
 */
int happy_resolve_set_thread_limit(uint32_t limit);

/** The greatest number of worker threads, as happy_resolve_set_thread_limit sets it. Any thread. */
uint32_t happy_resolve_get_thread_limit(void);

/* ---- What a connect is asked to do -------------------------------------------------------------------------------- */

/**
 * Attempts one address after the other in the system's order, without a race: the next only when the one before has
 * failed or used up `connect_timeout_ms`.
 */
#define HAPPY_FLAG_NO_FAST_FALLBACK 1

/** Hands the socket over in non-blocking mode. */
#define HAPPY_FLAG_NONBLOCKING 2
/** A lookup was started; `family`. */
#define HAPPY_TRACE_LOOKUP_STARTED 1
/** A lookup was answered; `family`, `count`, or `gai_error` and `sys_errno` when it failed. */
#define HAPPY_TRACE_LOOKUP_ANSWERED 2
/** A lookup that was still running was given up; `family`. */
#define HAPPY_TRACE_LOOKUP_ABANDONED 3
/** The Resolution Delay began to run; `delay_ms`. */
#define HAPPY_TRACE_RESOLUTION_DELAY_STARTED 4
/** The Resolution Delay ran out. */
#define HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED 5
/** An address joined the candidates; `address`. */
#define HAPPY_TRACE_CANDIDATE_ADDED 6
/** A candidate will not be attempted; `address`. */
#define HAPPY_TRACE_CANDIDATE_DROPPED 7
/** An attempt started; `attempt`, `address`. */
#define HAPPY_TRACE_ATTEMPT_STARTED 8
/** An attempt ended; `attempt`, `address`, `outcome`, `sys_errno`, `syscall`. */
#define HAPPY_TRACE_ATTEMPT_ENDED 9
/** The timer for the next attempt was set; `delay_ms`. */
#define HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET 10
/** The timer for the next attempt fired. */
#define HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED 11
/** The race is over; `status`, and with HAPPY_OK the winner's `attempt` and `address`. */
#define HAPPY_TRACE_FINISHED 12
/** A lookup that gave way to those of other connects has become needed and goes before them; `family`. */
#define HAPPY_TRACE_LOOKUP_HASTENED 13

/**
 * Stands in for getaddrinfo(3): same arguments, same answer (0 or an `EAI_*` code, errno with `EAI_SYSTEM`).
 *
 * Called on a worker thread of the library with all signals blocked, for each address family that is asked for
 * (`hints->ai_family`), possibly at the same time; it may block as long as it likes. `node` and `service` live until it
 * returns. A host that is an IP literal is not asked.
 */
typedef int (*happy_lookup_fn)(const char *node,
                               const char *service,
                               const struct addrinfo *hints,
                               struct addrinfo **ret_res,
                               void *userdata);

/** Frees a list that a `happy_lookup_fn` gave. Any thread. */
typedef void (*happy_lookup_free_fn)(struct addrinfo *res, void *userdata);

/**
 * Sees each socket after it was made and before it is bound and connected, to set socket options.
 *
 * Returns 0, or an errno with which this attempt fails. It must not close the descriptor. Called on the thread that
 * drives the connect.
 */
typedef int (*happy_configure_socket_fn)(int fd,
                                         const struct sockaddr *address,
                                         socklen_t address_length,
                                         void *userdata);

/** One step of a race. */
typedef struct happy_trace_event {
    /** sizeof(happy_trace_event) as the library was compiled. */
    size_t size;
    /** Nanoseconds since the race began. */
    uint64_t time_ns;
    /** `HAPPY_TRACE_*`. */
    int32_t kind;
    /** AF_INET, AF_INET6, AF_UNSPEC for a lookup of both, or -1 where there is none (also for the lookup of the local address). */
    int32_t family;
    /** The attempt's number, from 0 in the order of start, or -1. */
    int32_t attempt;
    /** `HAPPY_OUTCOME_*`, or -1. */
    int32_t outcome;
    /** `HAPPY_*` status of the whole race with HAPPY_TRACE_FINISHED, else HAPPY_OK. */
    int32_t status;
    /** `EAI_*` code, or 0. */
    int32_t gai_error;
    /** errno, or 0. */
    int32_t sys_errno;
    /** The length of a timer in milliseconds, or -1. */
    int32_t delay_ms;
    /** The number of addresses in an answer. */
    uint32_t count;
    /** The length of `address`. */
    socklen_t address_length;
    /** The address, or NULL. */
    const struct sockaddr *address;
    /** The system call that failed, such as "connect(2)", or NULL. */
    const char *syscall;
} happy_trace_event;

/** Sees each step of the race as it happens, on the thread that drives the connect. `event` lives until it returns. */
typedef void (*happy_trace_fn)(const happy_trace_event *event, void *userdata);

/** Frees `userdata`. Any thread. */
typedef void (*happy_userdata_free_fn)(void *userdata);

/**
 * What one connect is to do. Start from `HAPPY_OPTIONS_INIT` and change what you need:
 *
 *     happy_options options = HAPPY_OPTIONS_INIT;
 *     options.open_timeout_ms = 5000;
 *
 * The library copies what it needs before the call returns, strings included. Limits and delays are in milliseconds.
 */
typedef struct happy_options {
    /** sizeof(happy_options) as the caller was compiled. Fields that a shorter struct lacks have their defaults. */
    size_t size;
    /** The local address to bind to, or NULL. As getaddrinfo(3) takes it. */
    const char *local_host;
    /** The local port to bind to, or NULL. As getaddrinfo(3) takes it. */
    const char *local_service;
    /** AF_UNSPEC (both families), AF_INET or AF_INET6. */
    int32_t family;
    /** `HAPPY_FLAG_*`, added up. */
    uint32_t flags;
    /** `AI_*` flags for the lookup of the remote host, such as AI_NUMERICSERV. */
    int32_t lookup_flags;
    /** Limit for the lookups, from the start; -1 none, 0 over at once. Not together with `open_timeout_ms`. */
    int32_t resolv_timeout_ms;
    /**
     * Limit for connecting, from the start of the last candidate's attempt; -1 none, 0 over at once. Not together with
     * `open_timeout_ms`.
     */
    int32_t connect_timeout_ms;
    /** Limit over everything, from the start; -1 none, 0 over at once. */
    int32_t open_timeout_ms;
    /** Resolution Delay: how long an A answer waits for the AAAA answer (RFC 8305, section 3). 50. */
    int32_t resolution_delay_ms;
    /** Connection Attempt Delay: the time between two attempts (RFC 8305, section 5), held within 10 to 2000. 250. */
    int32_t connection_attempt_delay_ms;
    /**
     * First Address Family Count: how many addresses of the first family come before the families alternate (RFC 8305,
     * section 4). At least 1.
     */
    uint32_t first_address_family_count;
    /**
     * The greatest number of attempts in flight at the same time; 0: no cap. Where it is reached, the oldest attempt is
     * abandoned for the next address once the Connection Attempt Delay is over; the last ones keep running. A path slower
     * than the delay needs a cap above 1.
     */
    uint32_t max_attempts;
    /** Stands in for getaddrinfo(3), or NULL. */
    happy_lookup_fn lookup;
    /** Frees what `lookup` gave; NULL: freeaddrinfo(3) does. */
    happy_lookup_free_fn lookup_free;
    /** Sets options on each socket, or NULL. */
    happy_configure_socket_fn configure_socket;
    /** Sees each step of the race, or NULL. */
    happy_trace_fn trace;
    /** Handed to each callback. */
    void *userdata;
    /**
     * Called exactly once when the library will not touch `userdata` any more, on whichever thread that happens: a lookup
     * that was given up may outlive the connect. Not called when the options were refused (the call that took them
     * answered HAPPY_EINVALID, HAPPY_ENOMEM or HAPPY_EFORKED). NULL: nothing is called.
     */
    happy_userdata_free_fn userdata_free;
} happy_options;

/** The defaults of happy_options: `happy_options options = HAPPY_OPTIONS_INIT;` */
#define HAPPY_OPTIONS_INIT \
    { sizeof(happy_options), NULL, NULL, AF_UNSPEC, 0, 0, -1, -1, -1, 50, 250, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL }

/* ---- What a connect came to --------------------------------------------------------------------------------------- */

/** Still running when it was looked at. */
#define HAPPY_OUTCOME_RUNNING 0
/** Connected: the winner. */
#define HAPPY_OUTCOME_CONNECTED 1
/** Failed; `sys_errno` and `syscall` say how. */
#define HAPPY_OUTCOME_FAILED 2
/** Ended by a limit. */
#define HAPPY_OUTCOME_TIMED_OUT 3
/** Given up because another one won, because the connect was cancelled, or for the next address under `max_attempts`. */
#define HAPPY_OUTCOME_ABANDONED 4
/** No limit ended it. */
#define HAPPY_LIMIT_NONE 0
/** `resolv_timeout_ms` ended it. */
#define HAPPY_LIMIT_RESOLV 1
/** `connect_timeout_ms` ended it. */
#define HAPPY_LIMIT_CONNECT 2
/** `open_timeout_ms` ended it. */
#define HAPPY_LIMIT_OPEN 3

/** One attempt of a connect. */
typedef struct happy_attempt {
    /** AF_INET or AF_INET6. */
    int32_t family;
    /** `HAPPY_OUTCOME_*`. */
    int32_t outcome;
    /** errno of a failure, ETIMEDOUT when a limit ended it, else 0. */
    int32_t sys_errno;
    /** The length of `address`. */
    socklen_t address_length;
    /** The system call that failed, such as "connect(2)" (static), or NULL. */
    const char *syscall;
    /** When it started, in nanoseconds since the race began. */
    uint64_t started_ns;
    /** When it ended, in nanoseconds since the race began. */
    uint64_t ended_ns;
    /** The address that was attempted. */
    struct sockaddr_storage address;
} happy_attempt;

/**
 * What a connect came to. Start from `HAPPY_RESULT_INIT`; give `attempts` room if you want to see every attempt:
 *
 *     happy_attempt attempts[16];
 *     happy_result result = HAPPY_RESULT_INIT;
 *     result.attempts = attempts;
 *     result.attempts_capacity = 16;
 *
 * It owns nothing but `fd`, which is the caller's to close.
 */
typedef struct happy_result {
    /** sizeof(happy_result) as the caller was compiled. Only fields that lie within it are written. */
    size_t size;
    /** HAPPY_OK or `HAPPY_E*`. */
    int32_t status;
    /** The connected socket (close-on-exec, blocking unless asked otherwise), or -1. */
    int32_t fd;
    /** `EAI_*` code with HAPPY_ERESOLVE, and with HAPPY_EINVALID where getaddrinfo(3) would have given one; else 0. */
    int32_t gai_error;
    /**
     * errno with HAPPY_ESYSCALL, ETIMEDOUT with HAPPY_ETIMEOUT, ECANCELED with HAPPY_ECANCELLED; with HAPPY_ERESOLVE and
     * EAI_SYSTEM the errno of the lookup; else 0.
     */
    int32_t sys_errno;
    /** The system call that failed, such as "connect(2)" or "bind(2)" (static), or NULL. */
    const char *syscall;
    /** The name of the argument at fault, such as "remote_host" (static), or NULL. */
    const char *argument;
    /** `HAPPY_LIMIT_*`: the limit that ended it with HAPPY_ETIMEOUT. */
    int32_t limit;
    /** 1: the local address was at fault (its lookup, its family, or bind); else 0. */
    int32_t local_at_fault;
    /** The winner's address, or that of the attempt that failed last; `address_length` 0 when no attempt was made. */
    struct sockaddr_storage address;
    /** The length of `address`. */
    socklen_t address_length;
    /** How many attempts were made, whatever the capacity. */
    uint32_t attempts_count;
    /**
     * Room for the attempts, in the order of their start, or NULL. The caller's. In a done callback: the library's, until the
     * callback returns.
     */
    happy_attempt *attempts;
    /** How many attempts there is room for. */
    size_t attempts_capacity;
} happy_result;

/** An empty happy_result without room for attempts: `happy_result result = HAPPY_RESULT_INIT;` */
#ifdef __cplusplus
#define HAPPY_RESULT_INIT \
    { sizeof(happy_result), HAPPY_OK, -1, 0, 0, NULL, NULL, HAPPY_LIMIT_NONE, 0, {}, 0, 0, NULL, 0 }
#else
#define HAPPY_RESULT_INIT \
    { sizeof(happy_result), HAPPY_OK, -1, 0, 0, NULL, NULL, HAPPY_LIMIT_NONE, 0, {0}, 0, 0, NULL, 0 }
#endif

/* ---- Connect and block -------------------------------------------------------------------------------------------- */

/**
 * Connects to a host by name (Happy Eyeballs, RFC 8305) and returns the connected socket, or -1.
 *
 * `remote_host` and `remote_service` as getaddrinfo(3) takes them (a NULL host is the loopback). `options` may be NULL: the defaults.
 * `ret_result` may be NULL; else it says how it went, on success and on failure. The socket is close-on-exec and in blocking mode
 * (unless HAPPY_FLAG_NONBLOCKING), and the caller's to close.
 *
 * On failure errno is set too: sys_errno where there is one (ETIMEDOUT for a limit); EINVAL for a bad argument;
 * ENOMEM; and for a name that could not be resolved ENOENT (EAI_NONAME, EAI_NODATA, EAI_SERVICE and others that stay), EAGAIN (EAI_AGAIN), ENOMEM (EAI_MEMORY) or the
 * lookup's errno (EAI_SYSTEM). Any thread. Signals do not end the wait.
 */
int init_inetsock_happy(const char *remote_host,
                        const char *remote_service,
                        const happy_options *options,
                        happy_result *ret_result);

/* ---- One connect, driven by the caller ---------------------------------------------------------------------------- */

/**
 * One connect by name. One thread drives it (happy_connect_wait, or happy_connect_get_fd with happy_connect_dispatch); happy_connect_interrupt and
 * happy_connect_cancel may come from any thread and any signal handler, until happy_connect_free is called.
 */
typedef struct happy_connect happy_connect;

/**
 * Makes a connect and begins it: its limits count from here; lookups run from the first wait or dispatch on.
 *
 * Arguments as for init_inetsock_happy. HAPPY_OK and the connect in `*ret_connect`, to be freed with happy_connect_free; else
 * HAPPY_EINVALID (happy_error_message() names the argument) or HAPPY_ENOMEM.
 */
int happy_connect_new(const char *remote_host,
                      const char *remote_service,
                      const happy_options *options,
                      happy_connect **ret_connect);

/**
 * Drives the race until it is finished, cancelled or interrupted. Returns NULL; has the shape of the function that
 * rb_thread_call_without_gvl2 takes. Call it again to go on: nothing restarts.
 */
void *happy_connect_wait(void *self);

/**
 * Makes a running happy_connect_wait return, or the next one if none is running. The race keeps its state. Any thread, any signal
 * handler. Has the shape of an unblocking function of rb_thread_call_without_gvl2. NULL is a no-op.
 */
void happy_connect_interrupt(void *self);

/**
 * Ends the connect: a wait returns and the result is HAPPY_ECANCELLED, unless it was finished before. Any thread, any signal
 * handler, any number of times. NULL is a no-op.
 */
void happy_connect_cancel(happy_connect *self);

/**
 * One descriptor for a scheduler of the caller's: when it is readable, or when happy_connect_get_timeout_ms has passed, call
 * happy_connect_dispatch. The same descriptor during the whole connect; it is the connect's own and lives until happy_connect_free.
 * -1 with errno when none could be made, or for NULL (EINVAL).
 */
int happy_connect_get_fd(happy_connect *self);

/** How long to wait at most before the next dispatch, in milliseconds: -1 no limit, 0 now; rounded up. Ask again after each dispatch. */
int happy_connect_get_timeout_ms(happy_connect *self);

/**
 * Does what is due; never blocks. HAPPY_OK when the connect is finished (take the result), HAPPY_EAGAIN while it runs; HAPPY_EREENTRANT from
 * inside one of its callbacks; HAPPY_EINVALID for NULL.
 */
int happy_connect_dispatch(happy_connect *self);

/**
 * Takes the result, once: the connected socket, or -1. `ret_result` may be NULL; else it is written, on failure too, with status HAPPY_EAGAIN while the
 * connect runs, HAPPY_ESTATE when the result was taken before, HAPPY_EFORKED in a child of the process that made it. errno as init_inetsock_happy
 * sets it.
 */
int happy_connect_take_result(happy_connect *self,
                              happy_result *ret_result);

/**
 * Frees the connect and closes what is left of it, the winner too if it was not taken. Never waits. NULL is a no-op; from inside one of
 * its callbacks it takes effect when the callback has returned.
 */
void happy_connect_free(happy_connect *self);

/* ---- Many connects on one thread ---------------------------------------------------------------------------------- */

/** For happy_multi_socket_action: the time that the timer callback asked for has come. */
#define HAPPY_SOCKET_TIMEOUT (-1)
/** Readable. */
#define HAPPY_POLL_IN 1
/** Writable. */
#define HAPPY_POLL_OUT 2
/** Error or hang-up; for happy_multi_socket_action only. */
#define HAPPY_POLL_ERROR 4
/** Watch it no more. */
#define HAPPY_POLL_REMOVE 8

/**
 * Many connects, driven by one thread: only happy_multi_wakeup may be called from others.
 *
 * There are two ways to drive it, both in turns that never block.
 *
 * By one descriptor: happy_multi_get_fd is readable whenever there is something to do, timers included; then call happy_multi_dispatch.
 * A program without a loop calls happy_multi_wait instead.
 *
 * By socket action, for loops that watch plain sockets: after happy_multi_set_socket_callback the library says which descriptors
 * to watch and (happy_multi_set_timer_callback) when to call without any being ready; the loop answers with happy_multi_socket_action.
 *
 * Callbacks may add and cancel connects, and free the handle; calls that drive it (_dispatch, _wait, _socket_action) answer
 * HAPPY_EREENTRANT from inside a callback. In the child of a fork every function answers HAPPY_EFORKED, but for happy_multi_free.
 */
typedef struct happy_multi happy_multi;

/**
 * Tells how a connect ended: exactly once for each that was added, on the thread that drives the handle, from inside
 * happy_multi_dispatch, _wait, _socket_action, _cancel or _free.
 *
 * `result` and what it points to live until the callback returns; its `attempts` has all `attempts_count` attempts. Its `fd` is
 * the callee's from then on. `id` means nothing any more.
 */
typedef void (*happy_done_fn)(happy_multi *self,
                              uint64_t id,
                              const happy_result *result,
                              void *userdata);

/**
 * Asks the caller's loop to watch a descriptor for `what`: the sum of HAPPY_POLL_IN and HAPPY_POLL_OUT, level-triggered; or to watch it
 * no more, HAPPY_POLL_REMOVE, which always comes before the descriptor is closed or handed over.
 *
 * `socket_data` is what happy_multi_assign set for it, else NULL. Called from inside the functions that drive the handle.
 */
typedef void (*happy_socket_fn)(happy_multi *self, int fd, int what, void *userdata, void *socket_data);

/**
 * Asks the caller's loop for a call of happy_multi_socket_action(HAPPY_SOCKET_TIMEOUT) (driven by one descriptor: of
 * happy_multi_dispatch) once, in `timeout_ms` milliseconds, instead of what was asked before; 0: soon, but not from inside this callback;
 * -1: not at all.
 */
typedef void (*happy_timer_fn)(happy_multi *self, int timeout_ms, void *userdata);

/**
 * Makes a handle, to be freed with happy_multi_free. It has three descriptors of its own (epoll, eventfd, timerfd). NULL with errno
 * when they could not be made (EMFILE, ENFILE, ENOMEM).
 */
happy_multi *happy_multi_new(void);

/**
 * Ends every connect that is left in its done callback (HAPPY_ECANCELLED, unless it had ended otherwise a moment before) and frees
 * the handle. Never waits for a lookup. NULL is a no-op.
 *
 * From inside a callback it takes effect when the outermost function returns that runs for this handle; until then nothing more is begun.
 * In the child of a fork nothing is called and nothing of the parent's is touched: the child's copies are closed and freed.
 */
void happy_multi_free(happy_multi *self);

/**
 * Adds a connect; its limits count from here, also while it waits for a permit (happy_multi_set_max_attempts). Arguments as for
 * init_inetsock_happy; all is copied.
 *
 * `done` is called once, never from inside this function, and not at all when adding failed. HAPPY_OK with the connect's number in
 * `*ret_id` (never 0, not used again; `ret_id` may be NULL); else HAPPY_EINVALID (happy_error_message() names the argument), HAPPY_ENOMEM,
 * HAPPY_EFORKED, or HAPPY_ESTATE while the handle is being freed. It opens no descriptor: when there is none left (EMFILE) the connect's
 * attempts fail so, and its done callback says HAPPY_ESYSCALL with that errno and "socket(2)".
 */
int happy_multi_add(happy_multi *self,
                    const char *remote_host,
                    const char *remote_service,
                    const happy_options *options,
                    happy_done_fn done,
                    void *userdata,
                    uint64_t *ret_id);

/**
 * Ends a connect: its done callback is called with HAPPY_ECANCELLED (unless its end was decided a moment before) before this
 * returns; from inside a callback: after that callback has returned, before the function returns that called it (from inside the timer
 * callback of happy_multi_add: in the next turn). HAPPY_OK; HAPPY_ENOENT when there is no such connect or it has ended; HAPPY_EINVALID,
 * HAPPY_EFORKED.
 */
int happy_multi_cancel(happy_multi *self,
                       uint64_t id);

/**
 * The one descriptor: readable whenever happy_multi_dispatch has something to do, timers included. It is the handle's own and the
 * same until happy_multi_free. Do not read it. -1 with errno EINVAL for NULL, after a fork, or where a socket callback is set.
 */
int happy_multi_get_fd(happy_multi *self);

/**
 * How long to wait at most before the next turn, in milliseconds, for loops that prefer a timer of their own: -1 no limit, 0 now;
 * rounded up. Ask again after each turn and each add. -1 for NULL.
 */
int happy_multi_get_timeout_ms(happy_multi *self);

/**
 * Does what is due; never blocks. Begins a limited number of connects in one turn: with many added at once the descriptor stays readable,
 * and the timeout 0, until all have begun.
 *
 * HAPPY_OK with the number of connects left in `*ret_running` (may be NULL); HAPPY_EREENTRANT from inside a callback; HAPPY_ESTATE where a socket
 * callback is set; HAPPY_EINVALID, HAPPY_EFORKED. The handle may be gone if a callback has freed it: `*ret_running` is 0 then.
 */
int happy_multi_dispatch(happy_multi *self,
                         int *ret_running);

/**
 * Waits until something is due, for `timeout_ms` at most (-1: no limit), then does it as happy_multi_dispatch. Returns earlier after
 * happy_multi_wakeup or a signal. Without connects it waits for the limit or a wake-up. Call it until nothing is left:
 *
 *     int running = 1;
 *     while (running > 0 && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
 *     }
 *
 * Answers as happy_multi_dispatch; HAPPY_EINVALID also for a limit below -1.
 */
int happy_multi_wait(happy_multi *self,
                     int timeout_ms,
                     int *ret_running);

/**
 * Has the handle driven by socket action: from now on `callback` is told which descriptors to watch, and happy_multi_get_fd, _dispatch and _wait
 * answer HAPPY_ESTATE. NULL turns it back. HAPPY_OK; HAPPY_ESTATE while connects are in the handle; HAPPY_EINVALID, HAPPY_EFORKED.
 */
int happy_multi_set_socket_callback(happy_multi *self,
                                    happy_socket_fn callback,
                                    void *userdata);

/**
 * Has `callback` told when to drive the handle although no descriptor is ready. It is called when that time changes: after
 * happy_multi_add and at the end of each turn. NULL: nobody is told. HAPPY_OK; HAPPY_ESTATE while connects are in the handle;
 * HAPPY_EINVALID, HAPPY_EFORKED.
 */
int happy_multi_set_timer_callback(happy_multi *self,
                                   happy_timer_fn callback,
                                   void *userdata);

/**
 * Keeps a pointer of the caller's with a descriptor that the socket callback was told to watch, to be given with each later call for it.
 * HAPPY_OK; HAPPY_ENOENT when it is not watched; HAPPY_EINVALID, HAPPY_EFORKED.
 */
int happy_multi_assign(happy_multi *self,
                       int fd,
                       void *socket_data);

/**
 * Tells that a watched descriptor is ready, or with HAPPY_SOCKET_TIMEOUT that the time has come that the timer callback was told; does what
 * is due; never blocks. `events` is the sum of HAPPY_POLL_IN, _OUT and _ERROR, or 0 if the caller does not know. A spurious call is harmless:
 * what the descriptor says itself counts.
 *
 * HAPPY_OK with the number of connects left in `*ret_running` (may be NULL); HAPPY_ENOENT, harmless too, for a descriptor that is not (or no
 * longer) watched, such as a late event of one that was removed; HAPPY_EREENTRANT from inside a callback; HAPPY_ESTATE without a socket callback;
 * HAPPY_EINVALID for NULL or other events; HAPPY_EFORKED.
 */
int happy_multi_socket_action(happy_multi *self,
                              int fd_or_timeout,
                              int events,
                              int *ret_running);

/**
 * Makes a running happy_multi_wait return, or the next one; makes the descriptor of happy_multi_get_fd readable, or (driven by socket action,
 * while connects are in the handle) the wake-up descriptor. The one function for other threads, and for signal handlers. HAPPY_OK; HAPPY_EINVALID,
 * HAPPY_EFORKED.
 */
int happy_multi_wakeup(happy_multi *self);

/**
 * Caps the connection attempts in flight in this handle; 0 (the default): no cap. What is over it waits, connects that were added earlier
 * first; their limits go on. A connect whose earlier attempts hold permits may wait for another, so set a limit too where hosts may not answer.
 * HAPPY_OK, HAPPY_EINVALID, HAPPY_EFORKED.
 */
int happy_multi_set_max_attempts(happy_multi *self,
                                 uint32_t max_attempts);

/**
 * Caps the lookups in flight in this handle (a name needs two, one for each address family); 0 (the default): no cap but the worker threads of the
 * process. Otherwise as happy_multi_set_max_attempts.
 */
int happy_multi_set_max_lookups(happy_multi *self,
                                uint32_t max_lookups);

#ifdef __cplusplus
}
#endif

#endif /* HAPPYSOCK_H */
