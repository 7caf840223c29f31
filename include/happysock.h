/*
 * happysock 0.1.0: a host name becomes a connected TCP socket.
 *
 * This file is generated (make header) from include/happysock.h.in and src/capi; do not edit it.
 *
 * Two jobs
 *
 *   A lookup that can be interrupted: happy_lookup, and rb_getaddrinfo_happy for a blocking call with a
 *   limit. The caller waits with a limit, polls a descriptor, cancels from any thread or signal handler, or
 *   walks away. Where the library can look a name up just as libc would (hosts, DNS, systemd-resolved), it
 *   does so without a thread; everything else libc is asked for, on a worker thread.
 *
 *   A connect by name: Happy Eyeballs, RFC 8305. Both address families are looked up at once, connection
 *   attempts are raced with the standard's delays, the first to complete wins and the others are closed.
 *   init_inetsock_happy blocks; happy_connect is one race for a scheduler of the caller's; happy_multi drives
 *   many on one thread.
 *
 * Example
 *
 *     #include <happysock.h>
 *     #include <stdio.h>
 *     #include <unistd.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         const char *host = argc > 1 ? argv[1] : "localhost", *port = argc > 2 ? argv[2] : "http";
 *         happy_options options = HAPPY_OPTIONS_INIT;
 *         happy_result result = HAPPY_RESULT_INIT;
 *         char message[256];
 *         options.open_timeout_ms = 5000;
 *         int fd = init_inetsock_happy(host, port, &options, &result);
 *         happy_result_message(&result, message, sizeof message);
 *         if (fd < 0) {
 *             fprintf(stderr, "%s: %s\n", host, message);
 *             return 1;
 *         }
 *         printf("%s\n", message);
 *         return close(fd);
 *     }
 *
 *   cc example.c $(pkg-config --cflags --libs happysock)
 *
 * Conventions
 *
 *   Functions are named happy_<noun>_<verb>, constants HAPPY_<NOUN>_<NAME>. The object, `self`, comes first
 *   and stays the caller's; then come inputs, then outputs named ret_*, which are written only on success
 *   unless the function says otherwise; userdata comes last. Where a function takes an object, NULL is safe:
 *   freeing it does nothing, other functions answer with the error they document. Limits and delays are in
 *   milliseconds; a limit of -1 is none, a limit of 0 is over at once. What returns a status, a descriptor,
 *   milliseconds or an EAI_* code says so; no error of one is a value of another.
 *
 *   Structs that the caller fills begin with `size` and are set up by their _INIT macro: a program keeps
 *   working with a later library whose structs have grown. Fields are only appended, with 0 as their default;
 *   arrays of structs carry the size of one (attempt_size).
 *
 *   Functions whose names end in _callback are for runtimes that take a function of void pointers, such as
 *   rb_thread_call_without_gvl2 of Ruby.
 *
 * Errors
 *
 *   Statuses are HAPPY_OK (0) and negative numbers from -7001 down, which no EAI_* code of <netdb.h> uses.
 *   Names come from happy_status_str(). A refused argument changes nothing; happy_error_message() and the
 *   happy_result name it. happy_result_message() makes the sentence that a person reads.
 *
 * Ownership
 *
 *   _new makes an object for one owner, _free ends it. happy_lookup and happy_history are
 *   reference-counted: _ref, _unref.
 *   _get_* lends, _take_* hands over. Strings and structs that are passed in are copied before the call
 *   returns. No _free and no _unref waits for a lookup: a worker that is still inside libc frees what is left
 *   when it comes back.
 *
 * Callbacks
 *
 *   A function of the caller's must return: it may not throw a C++ exception, call longjmp(3), or end its
 *   thread (pthread_exit(3)).
 *
 * Threads, signals, fork
 *
 *   Each function says which threads may call it. happy_lookup_cancel, happy_connect_cancel,
 *   happy_connect_interrupt (and their _callback forms) and happy_multi_wakeup are async-signal-safe. Worker
 *   threads block all signals, are bounded in number, shared by the process and kept for a while when idle;
 *   the object that this library was linked into stays loaded once one was made. fork(2) never waits for a
 *   lookup: the child starts with no worker, makes its own when it needs one, and gets HAPPY_EFORKED from
 *   objects that were made before the fork, which it may still free. Descriptors that the library makes are
 *   close-on-exec from birth.
 *
 *   No function is a cancellation point: a thread that is cancelled by pthread_cancel(3) inside of one, a
 *   wait included, is cancelled at its next cancellation point after that. To end a wait, cancel or interrupt
 *   what is waited for. The cancellation type has to be the default, deferred.
 */
#ifndef HAPPYSOCK_H
#define HAPPYSOCK_H

#include <stddef.h>
#include <stdint.h>
#include <netdb.h>
#include <sys/socket.h>

/* With a strict language standard <netdb.h> keeps the first to itself; the others are in <netinet/in.h>. */
struct addrinfo;
struct sockaddr_in;
struct sockaddr_in6;

/** The version of this header, as numbers that #if can compare. */
#define HAPPYSOCK_VERSION_MAJOR 0
#define HAPPYSOCK_VERSION_MINOR 1
#define HAPPYSOCK_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Statuses ------------------------------------------------------------------------------------------ */

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
/** Called from inside a callback of the object, or while another thread is in it; nothing was done. */
#define HAPPY_EREENTRANT (-7009)
/** The call does not fit the state: not started, already started, already taken. */
#define HAPPY_ESTATE (-7010)
/** An error inside the library, a panic that was stopped. The object is of no further use but to be freed. */
#define HAPPY_EINTERNAL (-7011)
/** No such connect or descriptor in the handle: unknown, or it has ended. */
#define HAPPY_ENOENT (-7012)

/**
 * Names a status in a few English words.
 *
 * Parameters
 *   status            HAPPY_OK or HAPPY_E*
 *
 * Returns
 *   a text            static, never NULL; "unknown status" for another number
 *
 * Threads: any
 */
const char *happy_status_str(int status);

/**
 * What the latest failing call of this thread said about its failure, with the name of the argument at fault
 * where there is one. After a lookup that ended in an EAI_* code it has the words of gai_strerror(3).
 *
 * Functions that signal handlers may call leave it as it was. What a race came to is better told by
 * happy_result_message.
 *
 * Returns
 *   a text            never NULL; "" when no call has failed yet. It is the library's and lives until the
 *                     next failing call of the same thread
 *
 * Threads: any; each has its own
 */
const char *happy_error_message(void);

/**
 * The version of the library that is running, such as "0.1.0"; HAPPYSOCK_VERSION_* is that of the header.
 *
 * Returns
 *   a text            static, never NULL
 *
 * Threads: any
 */
const char *happy_version(void);

/* ---- Lookups ------------------------------------------------------------------------------------------- */

/**
 * One lookup, as getaddrinfo(3) makes it, that can be waited for with a limit, cancelled, polled and
 * abandoned.
 *
 * Reference-counted: happy_lookup_new gives one reference. Whoever drops the last one frees all of it; a
 * worker that is still inside libc then frees the late answer. Any function may be called from any thread,
 * several at once.
 *
 * In a loop of the caller's: start it, watch the descriptor of happy_lookup_get_fd for reading, and call
 * happy_lookup_dispatch when it is readable, until that answers HAPPY_OK.
 */
typedef struct happy_lookup happy_lookup;

/**
 * getaddrinfo(3) with a limit: same arguments, same answers, same `EAI_*` codes, same ownership.
 *
 * What getaddrinfo(3) would not ask for or would take in a way that nobody means is refused: a host with a
 * blank or a control character in it, or longer than 1024 bytes (EAI_NONAME); a service with one of those,
 * longer than 31 bytes, or a number above 65535 or with a sign (EAI_SERVICE; " 80" is one).
 *
 * Parameters
 *   node, service     a host and a port, by name or number; one of them may be NULL; copied
 *   hints             as getaddrinfo(3) takes them, or NULL; copied
 *   ret_res           receives the list, which is the caller's to free with freeaddrinfo(3); written only
 *                     with 0
 *   timeout_ms        the limit in milliseconds; -1 none, 0 over at once
 *
 * Returns
 *   0                 and the list in `*ret_res`
 *   EAI_SYSTEM        with errno: ETIMEDOUT when the limit is reached, at once, whatever libc is doing;
 *                     EINVAL for a `timeout_ms` below -1 or `ret_res` NULL; else the errno of the lookup.
 *                     ENOENT (an mdns4 entry in nsswitch.conf) reads EAI_NONAME
 *   EAI_*             as getaddrinfo(3)
 *
 * Threads: any, at the same time
 */
int rb_getaddrinfo_happy(const char *node,
                         const char *service,
                         const struct addrinfo *hints,
                         struct addrinfo **ret_res,
                         int timeout_ms);

/**
 * Makes a lookup; nothing is asked yet. A host or service that cannot be resolved is not an error here: it
 * is the lookup's answer.
 *
 * Parameters
 *   node, service, hints
 *                     as rb_getaddrinfo_happy takes them; copied
 *   timeout_ms        the limit in milliseconds, from happy_lookup_start on; -1 none, 0 over at once
 *   ret_lookup        receives one reference, to be dropped with happy_lookup_unref; written only with
 *                     HAPPY_OK
 *
 * Returns
 *   HAPPY_OK          and one reference in `*ret_lookup`
 *   HAPPY_EINVALID    `timeout_ms` is below -1, or `ret_lookup` is NULL
 *   HAPPY_ENOMEM
 *
 * Threads: any
 */
int happy_lookup_new(const char *node,
                     const char *service,
                     const struct addrinfo *hints,
                     int timeout_ms,
                     happy_lookup **ret_lookup);

/**
 * Takes one more reference, to be dropped with happy_lookup_unref.
 *
 * Returns
 *   self              the same; NULL for NULL
 *
 * Threads: any, at the same time, while one has a reference
 */
happy_lookup *happy_lookup_ref(happy_lookup *self);

/**
 * Drops a reference. Never waits: the last one abandons a lookup that is still running. NULL is a no-op.
 *
 * Parameters
 *   self              the reference that is given up
 *
 * Threads: any
 */
void happy_lookup_unref(happy_lookup *self);

/**
 * Starts the lookup and returns at once. IP literals with numeric services are answered on the spot. A name
 * that the library can look up just as libc would goes on while somebody waits for it or dispatches it, and
 * needs no thread; for others libc is asked, on a worker.
 *
 * Returns
 *   HAPPY_OK          it runs, or is finished already; its limit counts from here
 *   HAPPY_ESYSCALL    no thread could be made, with errno EAGAIN; nothing was started, and it may be tried
 *                     again
 *   HAPPY_ESTATE      it was started before
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any
 */
int happy_lookup_start(happy_lookup *self);

/**
 * Waits until the lookup is finished: answered, at its limit, or cancelled. Signals do not end the wait.
 *
 * Returns
 *   HAPPY_OK          take the result
 *   HAPPY_ESTATE      it was not started
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, several at the same time
 */
int happy_lookup_wait(happy_lookup *self);

/**
 * happy_lookup_wait in the shape of the function that rb_thread_call_without_gvl2 takes.
 *
 * Parameters
 *   lookup            a happy_lookup
 *
 * Returns
 *   NULL              always
 *
 * Threads: any, several at the same time
 */
void *happy_lookup_wait_callback(void *lookup);

/**
 * Cancels the lookup: every wait returns at once and the answer, if none came yet, is EAI_SYSTEM with errno
 * ECANCELED.
 *
 * Any number of times, before the start and after the end too; takes microseconds whatever the lookup is
 * doing. NULL is a no-op.
 *
 * Threads: any, and any signal handler
 */
void happy_lookup_cancel(happy_lookup *self);

/**
 * happy_lookup_cancel in the shape of an unblocking function of rb_thread_call_without_gvl2.
 *
 * Parameters
 *   lookup            a happy_lookup
 *
 * Threads: any, and any signal handler
 */
void happy_lookup_cancel_callback(void *lookup);

/**
 * The one descriptor: readable when happy_lookup_dispatch has something to do, its limit included, and once
 * the lookup is finished; from then on it stays readable. The same before the start and after it. It is the
 * lookup's own: do not read it or close it; it lives until the last reference is dropped. Made by the first
 * call (three descriptors: epoll, eventfd, timerfd).
 *
 * Returns
 *   a descriptor      the lookup's own
 *   -1                with errno: EMFILE, ENFILE or ENOMEM when none could be made; ESTALE in the child of a
 *                     fork; EINVAL for NULL
 *
 * Threads: any
 */
int happy_lookup_get_fd(happy_lookup *self);

/**
 * How long to wait at most before the next dispatch, in milliseconds, for loops that prefer a timer of their
 * own; rounded up.
 *
 * Returns
 *   0                 at once: it is finished, or something is due
 *   more              until then
 *   -1                no limit; or there is nothing to dispatch: not started, made before a fork, NULL
 *
 * Threads: any
 */
int happy_lookup_get_timeout_ms(happy_lookup *self);

/**
 * Does what is due; never blocks.
 *
 * Returns
 *   HAPPY_OK          finished: take the result
 *   HAPPY_EAGAIN      it runs
 *   HAPPY_ESTATE      it was not started
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any
 */
int happy_lookup_dispatch(happy_lookup *self);

/**
 * Takes the answer, once.
 *
 * Parameters
 *   ret_res           receives the list, which is the caller's to free with freeaddrinfo(3); written only
 *                     with 0
 *
 * Returns
 *   0                 and the list in `*ret_res`
 *   EAI_*             as getaddrinfo(3) gives it; with EAI_SYSTEM errno is ETIMEDOUT at the limit, ECANCELED
 *                     when it was cancelled, else that of the lookup
 *   HAPPY_EAGAIN      it runs
 *   HAPPY_ESTATE      it was not started, or the answer was taken before
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` or `ret_res` is NULL
 *
 * Threads: any; one gets the answer
 */
int happy_lookup_take_result(happy_lookup *self, struct addrinfo **ret_res);

/**
 * Who has answered.
 *
 * Returns
 *   "hosts"           the file, read by the library itself, without a thread
 *   "dns"             name servers, asked by the library itself, without a thread
 *   "resolve"         systemd-resolved, asked by the library itself, without a thread
 *   "libc"            libc, on a thread
 *   NULL              there is no answer yet, or nobody had to be asked, or `self` is NULL
 *
 * The text is static.
 *
 * Threads: any
 */
const char *happy_lookup_get_source(happy_lookup *self);

/**
 * Sets the greatest number of worker threads that lookups of this process may occupy at the same time (512
 * unless set); lookups past it wait in the order of their start, with their limits honoured. Workers are
 * made on demand and leave when idle.
 *
 * Parameters
 *   limit             a number of threads, at least 1
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_EINVALID    `limit` is 0
 *
 * Threads: any, at any time
 */
int happy_lookup_set_thread_limit(uint32_t limit);

/**
 * The greatest number of worker threads, as happy_lookup_set_thread_limit sets it.
 *
 * Returns
 *   a number          at least 1
 *
 * Threads: any
 */
uint32_t happy_lookup_get_thread_limit(void);

/**
 * Has the worker threads that are idle end now, instead of after 5 seconds: before a fork, a change of
 * privileges or namespaces, a seccomp filter or a leak check. Returns when they have ended; it does not wait
 * for a worker that is at a lookup, which may take as long as libc does. Later lookups make new workers.
 *
 * Returns
 *   HAPPY_OK          the library has no thread in this process
 *   HAPPY_EAGAIN      the idle ones have ended; others are at lookups, or on their way to one
 *
 * Threads: any; not in a signal handler
 */
int happy_lookup_end_idle_workers(void);

/* ---- What a connect is asked to do --------------------------------------------------------------------- */

/**
 * What connects have learnt of the networks that this system is in, for those that come after them: put it
 * into `history` of their options.
 *
 * It remembers handshake times by the address of this system and that of the destination, which addresses
 * were used, and by the address of this system whether attempts go unanswered. So what was learnt in one
 * network is never used in another (RFC 8305, section 4). With it
 *
 *   * of addresses that rank alike those with the shorter handshake go first, then those that were used
 *     before;
 *   * the time to the next attempt is that after which the first packet of the handshake would be sent again
 *     (RFC 6298), from 100 ms, or `connection_attempt_delay_ms` if that is less, to 2 s;
 *   * a family that goes unanswered is kept one attempt behind the other, so that a network without a
 *     working IPv6 costs one delay and not one a connect.
 *
 * Ten minutes after the last news everything is forgotten, and one connect in 64 takes the standard's order.
 * It holds at most 1024 destinations, in less than 128 KiB, and writes nothing to a disk.
 *
 * Reference-counted: happy_history_new gives one reference, a connect keeps what it needs of it. Any
 * function may be called from any thread, several at once. The child of a fork makes its own: there one from
 * before the fork is empty and stays so.
 */
typedef struct happy_history happy_history;

/**
 * Makes an empty history.
 *
 * Parameters
 *   ret_history       receives one reference, to be dropped with happy_history_unref; written only with
 *                     HAPPY_OK
 *
 * Returns
 *   HAPPY_OK          and one reference in `*ret_history`
 *   HAPPY_EINVALID    `ret_history` is NULL
 *   HAPPY_ENOMEM
 *
 * Threads: any
 */
int happy_history_new(happy_history **ret_history);

/**
 * Takes one more reference, to be dropped with happy_history_unref.
 *
 * Returns
 *   self              the same; NULL for NULL
 *
 * Threads: any, at the same time, while one has a reference
 */
happy_history *happy_history_ref(happy_history *self);

/**
 * Drops a reference. Connects that were begun with it go on using it. NULL is a no-op.
 *
 * Parameters
 *   self              the reference that is given up
 *
 * Threads: any
 */
void happy_history_unref(happy_history *self);

/**
 * Forgets everything. For a system that has moved to another network whose addresses are like those of the
 * last; it is not needed otherwise.
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any
 */
int happy_history_flush(happy_history *self);

/**
 * What a history holds at a moment. Set `size` before it is filled: `happy_history_report report =
 * HAPPY_HISTORY_REPORT_INIT;`
 */
typedef struct happy_history_report {
    /**
     * sizeof(happy_history_report) as the caller was compiled. Only fields that lie within it are written.
     */
    size_t size;
    /** Destinations of which something is known. */
    uint32_t destinations;
    /** Networks, by the addresses that this system has in them. */
    uint32_t networks;
    /** Networks in which IPv6 does not answer. */
    uint32_t unanswered_v6;
    /** Networks in which IPv4 does not answer. */
    uint32_t unanswered_v4;
} happy_history_report;

/**
 * Tells what the history holds now: how much it knows, and in how many networks a family does not answer,
 * which a race hides otherwise.
 *
 * Parameters
 *   ret_report        receives the report; its `size` is set before, by HAPPY_HISTORY_REPORT_INIT; written
 *                     only with HAPPY_OK
 *
 * Returns
 *   HAPPY_OK          and the report in `*ret_report`
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` or `ret_report` is NULL, or its `size` is not sizeof(happy_history_report)
 *
 * Threads: any
 */
int happy_history_get_report(happy_history *self, happy_history_report *ret_report);

/** An empty happy_history_report: `happy_history_report report = HAPPY_HISTORY_REPORT_INIT;` */
#define HAPPY_HISTORY_REPORT_INIT { sizeof(happy_history_report), 0u, 0u, 0u, 0u }

/** The connection is not wanted: its attempt has failed, and the next one starts. */
#define HAPPY_CONFIRM_NO 0
/** The connection is wanted: it wins. */
#define HAPPY_CONFIRM_YES 1
/** Not known yet: the attempt is held until happy_connect_confirm or happy_multi_confirm answers for it. */
#define HAPPY_CONFIRM_LATER 2

/**
 * Attempts one address after the other in the system's order, without a race: the next only when the one
 * before has failed or used up `connect_timeout_ms`. Known addresses are attempted in the order in which
 * they are given.
 */
#define HAPPY_FLAG_NO_FAST_FALLBACK (1u << 0)

/** Hands the socket over in non-blocking mode. */
#define HAPPY_FLAG_NONBLOCKING (1u << 1)

/**
 * Have the remote host looked up by libc, on a thread, also where the library could do it without one. The
 * environment variable HAPPYSOCK_DNS=libc says so for a whole program, unless that has more rights than its
 * user (`AT_SECURE`, getauxval(3)).
 */
#define HAPPY_FLAG_LOOKUP_BY_LIBC (1u << 2)

/**
 * Each delay between attempts is twice the one before it, from `connection_attempt_delay_ms` or what the
 * history says up to 2000 (version 3 of Happy Eyeballs lets delays grow): a host with many dead addresses is
 * not sent as many SYNs in as short a time.
 */
#define HAPPY_FLAG_GROWING_DELAY (1u << 3)

/**
 * With HAPPY_FLAG_NO_FAST_FALLBACK and `open_timeout_ms`: each address gets an equal share of what is left
 * of that limit, 2000 at least, and the last one all of it. An address that does not answer leaves the
 * others their turn.
 */
#define HAPPY_FLAG_SHARE_TIMEOUT (1u << 4)

/**
 * Does not ask for addresses of a family in which this system has no network, where it has one in the other:
 * neither an address of its own nor a route, but for the loopback and the link. One question less; what the
 * host has in that family, loopback addresses too, is not found.
 */
#define HAPPY_FLAG_ONLY_CONNECTED_FAMILIES (1u << 5)

/**
 * Stands in for getaddrinfo(3): same arguments, same answer (0 or an `EAI_*` code, errno with EAI_SYSTEM).
 *
 * Called on a worker thread of the library with all signals blocked, for each address family that is asked
 * for (`hints->ai_family`), possibly at the same time; it may block as long as it likes. A host that is an
 * IP literal is not asked. A list of more than 4096 nodes counts as EAI_FAIL and is not freed: it may have
 * no end.
 *
 * Parameters
 *   node, service, hints
 *                     what is asked for, as rb_getaddrinfo_happy took it; they live until it returns
 *   ret_res           for the list, with 0; it is freed with `lookup_free`, or freeaddrinfo(3) without one
 *   userdata          that of the options
 *
 * Returns
 *   0                 and a list in `*ret_res`
 *   EAI_*             as getaddrinfo(3), with errno for EAI_SYSTEM; counts as EAI_FAIL where it is no such
 *                     code
 *
 * Threads: a worker of the library, and two at the same time where both families are asked for
 */
typedef int (*happy_lookup_fn)(const char *node,
                               const char *service,
                               const struct addrinfo *hints,
                               struct addrinfo **ret_res,
                               void *userdata);

/**
 * Frees a list that a `happy_lookup_fn` gave.
 *
 * Parameters
 *   res               the list; not NULL
 *   userdata          that of the options
 *
 * Threads: any, a worker of the library too
 */
typedef void (*happy_lookup_free_fn)(struct addrinfo *res, void *userdata);

/**
 * Sees each socket after it was made and before it is bound and connected, to set socket options. It may
 * bind the socket where the options give no local address of its family. It must not connect or close it.
 *
 * Parameters
 *   fd                the socket, which stays the library's
 *   address, address_length
 *                     where it is going; they live until it returns
 *   userdata          that of the options
 *
 * Returns
 *   0                 go on
 *   an errno          this attempt fails with it; `syscall` is "configure_socket"
 *   -1                as with the errno that it left
 *
 * Threads: the one that drives the connect
 */
typedef int (*happy_configure_socket_fn)(int fd,
                                         const struct sockaddr *address,
                                         socklen_t address_length,
                                         void *userdata);

/**
 * Frees `userdata`.
 *
 * Parameters
 *   userdata          that of the options, which is the callee's now
 *
 * Threads: any, a worker of the library too
 */
typedef void (*happy_userdata_free_fn)(void *userdata);

/**
 * Says whether the connection of an attempt is wanted, where to be connected is not all that counts. The
 * race goes on while it is held, as if it were connecting still.
 *
 * The socket stays the library's until it wins, and is in non-blocking mode. The caller may do I/O on it,
 * such as a TLS handshake: here, while nothing else of the connect goes on, or after HAPPY_CONFIRM_LATER
 * in a loop of its own, until it has answered for it or `release_socket` takes it back. A connection that
 * the other side ends while it is held is for the caller to notice.
 *
 * Parameters
 *   fd                the socket; to be neither closed nor kept beyond what is said above
 *   address, address_length
 *                     where it is connected to; they live until it returns
 *   userdata          that of the options
 *
 * Returns
 *   HAPPY_CONFIRM_YES   it wins; the others are closed
 *   HAPPY_CONFIRM_NO    the attempt fails with ECONNABORTED, `syscall` is "confirm", and the next one
 *                       starts
 *   HAPPY_CONFIRM_LATER held until happy_connect_confirm or happy_multi_confirm answers. With
 *                       init_inetsock_happy nobody could: the attempt fails with EDEADLK
 *   any other number    the attempt fails with EINVAL
 *
 * Threads: the one that drives the connect
 */
typedef int (*happy_confirm_fn)(int fd,
                                const struct sockaddr *address,
                                socklen_t address_length,
                                void *userdata);

/**
 * Takes back a socket that is held and was not answered for: it is closed next. Another attempt has won,
 * a limit was reached, it made room under `max_attempts`, or the connect was cancelled or freed. Stop
 * watching it, and free what was made for it.
 *
 * Parameters
 *   fd                the socket, open still
 *   userdata          that of the options
 *
 * Threads: the one that drives the connect, or frees it
 */
typedef void (*happy_release_socket_fn)(int fd, void *userdata);

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
 * Attempts of a family go unanswered in this network, as earlier connects with the same history have found,
 * or this one; `family`.
 */
#define HAPPY_TRACE_FAMILY_UNANSWERED 14

/**
 * An attempt is connected and held: `confirm` is asked; `attempt`, `address`. Its end tells what was
 * said.
 */
#define HAPPY_TRACE_ATTEMPT_HELD 15

/**
 * In this network, which has no IPv4, the address for its translator was made of an IPv4 address; `address`,
 * `synthesized_from`.
 */
#define HAPPY_TRACE_ADDRESS_SYNTHESIZED 16

/** One step of a race. */
typedef struct happy_trace_event {
    /** sizeof(happy_trace_event) as the library was compiled. */
    size_t size;
    /** Nanoseconds since the race began. */
    uint64_t time_ns;
    /** `HAPPY_TRACE_*`. */
    int32_t kind;
    /**
     * AF_INET, AF_INET6, AF_UNSPEC for a lookup of both, or -1 where there is none (also for the lookups of
     * the local address and of a translator's prefixes).
     */
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
    /**
     * The address, or NULL. With HAPPY_TRACE_LOOKUP_ANSWERED the name server that was asked last, where
     * `source` is "dns".
     */
    const struct sockaddr *address;
    /** The system call that failed, such as "connect(2)", or NULL. */
    const char *syscall;
    /**
     * Who has answered, with HAPPY_TRACE_LOOKUP_ANSWERED: "hosts" (the file), "dns" (name servers) or
     * "resolve" (systemd-resolved), each asked by the library itself; "libc"; "lookup" (the caller's
     * function). NULL where nobody had to be asked.
     */
    const char *source;
    /** 1: `address` was synthesized from an IPv4 address, with HAPPY_TRACE_ADDRESS_SYNTHESIZED; else 0. */
    int32_t synthesized;
    /** That IPv4 address in network byte order, as in_addr has it; else 0. */
    uint32_t synthesized_from;
} happy_trace_event;

/**
 * Sees each step of the race as it happens.
 *
 * Parameters
 *   event             the step; it and what it points to live until it returns
 *   userdata          that of the options
 *
 * Threads: the one that drives the connect
 */
typedef void (*happy_trace_fn)(const happy_trace_event *event, void *userdata);

/**
 * Names a HAPPY_TRACE_* in a few English words.
 *
 * Parameters
 *   kind              HAPPY_TRACE_*
 *
 * Returns
 *   a text            static, never NULL; "unknown kind" for another number
 *
 * Threads: any
 */
const char *happy_trace_kind_str(int kind);

/**
 * What one connect is to do. Start from `HAPPY_OPTIONS_INIT` and change what you need:
 *
 *     happy_options options = HAPPY_OPTIONS_INIT;
 *     options.open_timeout_ms = 5000;
 *
 * The library copies what it needs before the call returns, strings and addresses included. Limits and
 * delays are in milliseconds. Fields that later versions append have 0 as their default.
 */
typedef struct happy_options {
    /**
     * sizeof(happy_options) as the caller was compiled. Fields that a shorter struct lacks have their
     * defaults.
     */
    size_t size;
    /**
     * The local address to bind to, or NULL. As getaddrinfo(3) takes it. Where it has addresses of one
     * family only, the other family is not attempted.
     */
    const char *local_host;
    /** The local port to bind to, or NULL. As getaddrinfo(3) takes it. */
    const char *local_service;
    /** AF_UNSPEC (both families), AF_INET or AF_INET6. */
    int32_t family;
    /**
     * The family whose addresses go first (AF_INET or AF_INET6), and that the Resolution Delay waits for.
     * AF_UNSPEC: as the system says, which is IPv6 unless gai.conf(5) ranks IPv4 higher. Without a race
     * (HAPPY_FLAG_NO_FAST_FALLBACK) it has no effect.
     */
    int32_t preferred_family;
    /** `HAPPY_FLAG_*`, added up. */
    uint32_t flags;
    /** `AI_*` flags for the lookup of the remote host, such as AI_NUMERICSERV. */
    int32_t lookup_flags;
    /**
     * Limit for the lookups, from the start; -1 none, 0 over at once. Not together with `open_timeout_ms`.
     */
    int32_t resolv_timeout_ms;
    /**
     * Limit for connecting, from the start of the last candidate's attempt; -1 none, 0 over at once. Not
     * together with `open_timeout_ms`.
     */
    int32_t connect_timeout_ms;
    /** Limit over everything, from the start; -1 none, 0 over at once. */
    int32_t open_timeout_ms;
    /** Resolution Delay: how long an A answer waits for the AAAA answer (RFC 8305, section 3). 50. */
    int32_t resolution_delay_ms;
    /**
     * Connection Attempt Delay: the time between two attempts (RFC 8305, section 5), held within 10 to 2000.
     * 250.
     */
    int32_t connection_attempt_delay_ms;
    /**
     * First Address Family Count: how many addresses of the first family come before the families alternate
     * (RFC 8305, section 4). At least 1.
     */
    uint32_t first_address_family_count;
    /**
     * The greatest number of attempts in flight at the same time; 0: no cap. Where it is reached, the oldest
     * attempt is abandoned for the next address once the Connection Attempt Delay is over; the last ones
     * keep running. A path slower than the delay needs a cap above 1.
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
     * Called exactly once when the library will not touch `userdata` any more, on whichever thread that
     * happens: a lookup that was given up may outlive the connect. Not called when the call that took the
     * options refused them or failed itself: when happy_connect_new or happy_multi_add answered anything but
     * HAPPY_OK, or the result of init_inetsock_happy has HAPPY_EINVALID or HAPPY_ENOMEM. NULL: nothing is
     * called.
     */
    happy_userdata_free_fn userdata_free;
    /**
     * Addresses that are known already, or NULL: they are attempted instead of what a lookup finds. A list
     * as getaddrinfo(3) gives it, or one that the caller has made: `ai_addr`, `ai_addrlen` and `ai_next` are
     * read, and each address must be AF_INET or AF_INET6, with its port. Sorted and interleaved as the
     * answer of a lookup is; at most 4096. The remote host and service are not used then and may be NULL.
     * Not together with `lookup`.
     */
    const struct addrinfo *addresses;
    /**
     * What attempts over IPv4 are bound to, or NULL: they are not bound. Not together with `local_host` or
     * `local_service`.
     */
    const struct sockaddr_in *local_v4;
    /**
     * What attempts over IPv6 are bound to, or NULL: they are not bound. Not together with `local_host` or
     * `local_service`.
     */
    const struct sockaddr_in6 *local_v6;
    /**
     * What earlier connects have learnt, and where this one adds what it learns; or NULL: nothing is known
     * and nothing is kept. The connect keeps what it needs of it.
     */
    happy_history *history;
    /**
     * What is done with IPv4 addresses on a network without IPv4 whose translator (NAT64) leads to them (RFC
     * 8305, section 7), or NULL: they are attempted as they are. "discover": the translator's prefixes are
     * asked for when they are needed (RFC 7050), as the remote host is. Or the prefixes, at most 8, with
     * commas between, as in "64:ff9b::/96,2001:db8:64::/96" (RFC 6052). No IPv4: no address but for the
     * loopback and the link, and no route. Only with both families.
     */
    const char *nat64;
    /**
     * Asked whether the connection of an attempt is wanted before it wins, or NULL: the first connection
     * wins. All limits hold meanwhile: `connect_timeout_ms` counts on from the start of the last
     * candidate's attempt.
     */
    happy_confirm_fn confirm;
    /** Told when a socket that is held is closed without an answer, or NULL. Only with `confirm`. */
    happy_release_socket_fn release_socket;
    /**
     * The service whose bindings are asked for and followed (RFC 9460), or NULL: none. "https", or
     * "_8443._https" for another port than 443 (both ask for HTTPS records), or "_PORT._SCHEME" or "_SCHEME"
     * (SVCB records). They lead to other names and ports, sooner or later than the host's own addresses,
     * which come last; what has led to the winner is in the result (`binding_target`). Only where the
     * library asks name servers itself: elsewhere, and for a host that is an address or stands in hosts(5),
     * it is as if there were none. Not together with `addresses`, `nat64` or HAPPY_FLAG_NO_FAST_FALLBACK.
     */
    const char *service;
    /**
     * The protocols that the caller speaks, by their ALPN ids, with commas between, as in "h2,http/1.1":
     * bindings that offer none of them are left out. NULL: any. Only together with `service`. Ids that have
     * a comma or a zero byte in them cannot be asked for.
     */
    const char *alpn;
} happy_options;

/** The defaults of happy_options: `happy_options options = HAPPY_OPTIONS_INIT;` */
#define HAPPY_OPTIONS_INIT \
    { \
        sizeof(happy_options), NULL, NULL, AF_UNSPEC, AF_UNSPEC, 0u, 0, -1, -1, -1, \
        50, 250, 1u, 0u, \
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL \
    }

/* ---- What a connect came to ---------------------------------------------------------------------------- */

/** Still running when it was looked at. */
#define HAPPY_OUTCOME_RUNNING 0
/** Connected: the winner. */
#define HAPPY_OUTCOME_CONNECTED 1
/** Failed; `sys_errno` and `syscall` say how. */
#define HAPPY_OUTCOME_FAILED 2
/** Ended by a limit. */
#define HAPPY_OUTCOME_TIMED_OUT 3

/**
 * Given up because another one won, because the connect was cancelled, or for the next address under
 * `max_attempts`.
 */
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
    /** What failed, such as "connect(2)" (static), or NULL. */
    const char *syscall;
    /** When it started, in nanoseconds since the race began. */
    uint64_t started_ns;
    /** When it ended, in nanoseconds since the race began. */
    uint64_t ended_ns;
    /** The address that was attempted. */
    struct sockaddr_storage address;
    /**
     * 1: the address leads to a translator and stands for an IPv4 address (`nat64` of the options); else 0.
     */
    int32_t synthesized;
    /** That IPv4 address in network byte order, as in_addr has it; else 0. */
    uint32_t synthesized_from;
} happy_attempt;

/**
 * What a connect came to. Start from `HAPPY_RESULT_INIT`; give `attempts` room if you want to see every
 * attempt:
 *
 *     happy_attempt attempts[16];
 *     happy_result result = HAPPY_RESULT_INIT;
 *     result.attempts = attempts;
 *     result.attempts_capacity = 16;
 *
 * It owns nothing but `fd`, which is the caller's to close. All texts are static, but for those of a service
 * binding, which are in the caller's buffer: with `service` in the options, give that room too, if you want
 * to see them:
 *
 *     char buffer[4096];
 *     result.binding_buffer = buffer;
 *     result.binding_capacity = sizeof buffer;
 *
 * Fields that later versions append are 0 where there is nothing to say.
 */
typedef struct happy_result {
    /** sizeof(happy_result) as the caller was compiled. Only fields that lie within it are written. */
    size_t size;
    /** HAPPY_OK or `HAPPY_E*`. */
    int32_t status;
    /** The connected socket (close-on-exec, blocking unless asked otherwise), or -1. */
    int32_t fd;
    /**
     * `EAI_*` code with HAPPY_ERESOLVE, and with HAPPY_EINVALID where getaddrinfo(3) would have given one;
     * else 0.
     */
    int32_t gai_error;
    /**
     * errno with HAPPY_ESYSCALL, ETIMEDOUT with HAPPY_ETIMEOUT, ECANCELED with HAPPY_ECANCELLED; with
     * HAPPY_ERESOLVE and EAI_SYSTEM the errno of the lookup; else 0.
     */
    int32_t sys_errno;
    /**
     * What failed: a system call, such as "connect(2)" or "bind(2)", or "configure_socket" or "confirm",
     * the caller's functions; or NULL.
     */
    const char *syscall;
    /** The name of the argument at fault, such as "remote_host", or NULL. */
    const char *argument;
    /** What is wrong with the argument, in a few English words, with HAPPY_EINVALID; or NULL. */
    const char *reason;
    /** `HAPPY_LIMIT_*`: the limit that ended it with HAPPY_ETIMEOUT. */
    int32_t limit;
    /** 1: the local address was at fault (its lookup, its family, or bind); else 0. */
    int32_t local_at_fault;
    /**
     * 1: connected, but not over the family that was attempted first: that one failed or had not answered by
     * then; else 0.
     */
    int32_t fell_back;
    /** How many attempts were made, whatever the capacity. */
    uint32_t attempts_count;
    /**
     * The winner's address, or that of the attempt that failed last; `address_length` 0 when no attempt was
     * made.
     */
    struct sockaddr_storage address;
    /** The length of `address`. */
    socklen_t address_length;
    /**
     * Room for the attempts, in the order of their start, or NULL. The caller's. In a done callback: the
     * library's, until the callback returns; go through them with happy_result_get_attempt there.
     */
    happy_attempt *attempts;
    /** How many attempts there is room for. */
    size_t attempts_capacity;
    /** sizeof(happy_attempt) as whoever made the room was compiled: from one attempt to the next. */
    size_t attempt_size;
    /**
     * 1: IPv6 does not answer in this network, as earlier connects with the same history have found, or this
     * one: an attempt had no answer in the time in which the other family had one after it. Else 0.
     */
    int32_t unanswered_v6;
    /** The same of IPv4. */
    int32_t unanswered_v4;
    /**
     * Who has answered the last lookup of the remote host: "hosts" (the file), "dns" (name servers) or
     * "resolve" (systemd-resolved), each asked by the library itself; "libc"; "lookup" (the caller's
     * function). NULL where nobody had to be asked, or none has answered.
     */
    const char *source;
    /** 1: `address` leads to a translator and stands for an IPv4 address (`nat64` of the options); else 0. */
    int32_t synthesized;
    /** That IPv4 address in network byte order, as in_addr has it; else 0. */
    uint32_t synthesized_from;
    /**
     * Room for what the binding says that has led to the winner (`service` of the options), or NULL. The
     * caller's; the target, the ids and what ECH needs are written there one behind the other, each where it
     * fits as a whole into what is left. In a done callback: the library's, with room for all, until the
     * callback returns. 66560 bytes are always enough: a DNS message has 65535 at most.
     */
    char *binding_buffer;
    /** How many bytes there is room for. */
    size_t binding_capacity;
    /**
     * How many bytes are needed, whatever the capacity. 0: no binding has led to the winner, whose address
     * is the host's own.
     */
    size_t binding_length;
    /**
     * The name whose address was connected to, without the dot at its end, or NULL: no binding, or no room.
     * TLS names the host that was asked for, and not this one (RFC 9460, section 9.1).
     */
    const char *binding_target;
    /**
     * The ALPN ids of the protocols that can be spoken there, with commas between: those that the binding
     * offers and the caller speaks, in the binding's order. Empty: it names none. Ids that have a comma or a
     * zero byte in them are left out. NULL: no binding, or no room.
     */
    const char *binding_alpn;
    /**
     * What Encrypted Client Hello needs: an ECHConfigList as it is on the wire (RFC 9849), or NULL: the
     * binding has none, or there is no room for it, and then `binding_ech_length` is not 0. A program that
     * must not speak without it closes the connection.
     */
    const uint8_t *binding_ech;
    /** The length of the ECHConfigList, whatever the capacity; 0: the binding has none. */
    size_t binding_ech_length;
    /** The port that the binding names, which is then that of `address`; 0: it names none. */
    int32_t binding_port;
    /**
     * Its SvcPriority, where lower goes first; 0: aliases (AliasMode) alone have led to the target, or there
     * is no binding.
     */
    int32_t binding_priority;
} happy_result;

/**
 * Writes the sentence that a person reads, such as `connect(2) to [2001:db8::77]:80: Connection refused`,
 * `remote_host: Name or service not known`, `open_timeout_ms was reached` or `connected to 192.0.2.7:80`.
 * The words of the system are those of strerror(3) and gai_strerror(3).
 *
 * Parameters
 *   result            a result that a function of the library has written
 *   buffer            receives the sentence, with a zero byte at its end; may be NULL where `size` is 0
 *   size              the bytes that there is room for, the zero byte included
 *
 * Returns
 *   0 or more         the length of the whole sentence without its zero byte, as snprintf(3): it was cut
 *                     where that is not below `size`
 *   -1                `result` or `buffer` is NULL, or `result->size` is not sizeof(happy_result); errno is
 *                     EINVAL
 *
 * Threads: any, at any time
 */
int happy_result_message(const happy_result *result, char *buffer, size_t size);

/**
 * The attempt with the number `index`, in the order of their start. It steps by `attempt_size`, so that it
 * finds them also where the library's happy_attempt has grown beyond that of the program: in a done
 * callback.
 *
 * Parameters
 *   result            a result with room for attempts, or that of a done callback
 *   index             from 0, in the order of the start
 *
 * Returns
 *   an attempt        which lives as long as `result->attempts`
 *   NULL              there is no such attempt in it, or `result` is NULL
 *
 * Threads: any
 */
const happy_attempt *happy_result_get_attempt(const happy_result *result, size_t index);

/**
 * Names a HAPPY_OUTCOME_* in a few English words.
 *
 * Parameters
 *   outcome           HAPPY_OUTCOME_*
 *
 * Returns
 *   a text            static, never NULL; "unknown outcome" for another number
 *
 * Threads: any
 */
const char *happy_outcome_str(int outcome);

/**
 * Names a HAPPY_LIMIT_*: the option, or "none".
 *
 * Parameters
 *   limit             HAPPY_LIMIT_*
 *
 * Returns
 *   a text            static, never NULL; "unknown limit" for another number
 *
 * Threads: any
 */
const char *happy_limit_str(int limit);

/** An empty happy_result without room for attempts: `happy_result result = HAPPY_RESULT_INIT;` */
#ifdef __cplusplus
#define HAPPY_RESULT_INIT \
    { \
        sizeof(happy_result), HAPPY_OK, -1, 0, 0, NULL, NULL, NULL, HAPPY_LIMIT_NONE, 0, 0, 0u, \
        {}, 0, NULL, 0, sizeof(happy_attempt), 0, 0, NULL, 0, 0u, \
        NULL, 0, 0, NULL, NULL, NULL, 0, 0, 0 \
    }
#else
#define HAPPY_RESULT_INIT \
    { \
        sizeof(happy_result), HAPPY_OK, -1, 0, 0, NULL, NULL, NULL, HAPPY_LIMIT_NONE, 0, 0, 0u, \
        {0}, 0, NULL, 0, sizeof(happy_attempt), 0, 0, NULL, 0, 0u, \
        NULL, 0, 0, NULL, NULL, NULL, 0, 0, 0 \
    }
#endif

/* ---- Connect and block --------------------------------------------------------------------------------- */

/**
 * Connects to a host by name (Happy Eyeballs, RFC 8305) and returns the connected socket, or -1.
 *
 * The socket is close-on-exec and in blocking mode (unless HAPPY_FLAG_NONBLOCKING). Signals do not end the
 * wait.
 *
 * Parameters
 *   remote_host, remote_service
 *                     as getaddrinfo(3) takes them (a NULL host is the loopback), but for blanks and the
 *                     like: see rb_getaddrinfo_happy; copied
 *   options           what to do, or NULL: the defaults; copied
 *   ret_result        receives how it went, on success, on failure and when an argument was refused; may be
 *                     NULL
 *
 * Returns
 *   a descriptor      connected, and the caller's to close
 *   -1                with errno: `sys_errno` where there is one (ETIMEDOUT for a limit); EINVAL for a bad
 *                     argument; ENOMEM; and for a name that could not be resolved EAGAIN (EAI_AGAIN), ENOMEM
 *                     (EAI_MEMORY), EAFNOSUPPORT (EAI_FAMILY, EAI_ADDRFAMILY), EIO (EAI_FAIL), EINVAL
 *                     (EAI_BADFLAGS), the lookup's errno (EAI_SYSTEM), or ENXIO, "No such device or address"
 *                     (EAI_NONAME, EAI_NODATA, EAI_SERVICE)
 *
 * Threads: any, at the same time
 */
int init_inetsock_happy(const char *remote_host,
                        const char *remote_service,
                        const happy_options *options,
                        happy_result *ret_result);

/* ---- One connect, driven by the caller ----------------------------------------------------------------- */

/**
 * One connect by name, driven by its caller: with happy_connect_wait, or with happy_connect_get_fd and
 * happy_connect_dispatch.
 *
 * Any thread may drive it, one after the other; a call that comes while another thread is in a function of
 * it, or from inside one of its callbacks, changes nothing and answers HAPPY_EREENTRANT (-1 with errno EBUSY
 * where a descriptor is the answer). happy_connect_interrupt and happy_connect_cancel may come from any
 * thread and any signal handler at any time, until happy_connect_free is called.
 */
typedef struct happy_connect happy_connect;

/**
 * Makes a connect and begins it: its limits count from here; lookups run from the first wait or dispatch on.
 *
 * Parameters
 *   remote_host, remote_service, options
 *                     as for init_inetsock_happy; copied
 *   ret_connect       receives the connect, the caller's to free with happy_connect_free; written only with
 *                     HAPPY_OK
 *   ret_result        written when this fails, and says why; may be NULL
 *
 * Returns
 *   HAPPY_OK          and the connect in `*ret_connect`
 *   HAPPY_EINVALID    an argument is refused: `ret_result->argument` and happy_error_message() name it
 *   HAPPY_ENOMEM
 *
 * Threads: any
 */
int happy_connect_new(const char *remote_host,
                      const char *remote_service,
                      const happy_options *options,
                      happy_connect **ret_connect,
                      happy_result *ret_result);

/**
 * Drives the race until it is finished, cancelled or interrupted. Call it again to go on: nothing restarts.
 * Signals do not end it.
 *
 * Returns
 *   HAPPY_OK          finished: take the result
 *   HAPPY_EAGAIN      interrupted
 *   HAPPY_EREENTRANT  from inside one of its callbacks, or while another thread is in it
 *   HAPPY_ESTATE      the result was taken before
 *   HAPPY_EFORKED
 *   HAPPY_EINTERNAL
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_connect_wait(happy_connect *self);

/**
 * happy_connect_wait in the shape of the function that rb_thread_call_without_gvl2 takes.
 *
 * Parameters
 *   connect           a happy_connect
 *
 * Returns
 *   NULL              always
 *
 * Threads: any, one at a time
 */
void *happy_connect_wait_callback(void *connect);

/**
 * Makes a running happy_connect_wait return, or the next one if none is running. The race keeps its state.
 * NULL is a no-op.
 *
 * Threads: any, and any signal handler, until happy_connect_free is called
 */
void happy_connect_interrupt(happy_connect *self);

/**
 * happy_connect_interrupt in the shape of an unblocking function of rb_thread_call_without_gvl2.
 *
 * Parameters
 *   connect           a happy_connect
 *
 * Threads: any, and any signal handler, until happy_connect_free is called
 */
void happy_connect_interrupt_callback(void *connect);

/**
 * Ends the connect: a wait returns and the result is HAPPY_ECANCELLED, unless it was finished before. Any
 * number of times. NULL is a no-op.
 *
 * Threads: any, and any signal handler, until happy_connect_free is called
 */
void happy_connect_cancel(happy_connect *self);

/**
 * happy_connect_cancel in the shape of an unblocking function of rb_thread_call_without_gvl2.
 *
 * Parameters
 *   connect           a happy_connect
 *
 * Threads: any, and any signal handler, until happy_connect_free is called
 */
void happy_connect_cancel_callback(void *connect);

/**
 * The one descriptor for a loop of the caller's: readable when happy_connect_dispatch has something to do,
 * timers included, and once the connect is finished; a loop needs nothing else. The same during the whole
 * connect; it is the connect's own and lives until happy_connect_free: do not read it or close it. Made by
 * the first call (three descriptors: epoll, eventfd, timerfd).
 *
 * Returns
 *   a descriptor      the connect's own
 *   -1                with errno: EMFILE, ENFILE or ENOMEM when none could be made; EBUSY from inside a
 *                     callback or while another thread is in it; ESTALE in the child of a fork; EINVAL for
 *                     NULL, or when the result was taken
 *
 * Threads: any, one at a time
 */
int happy_connect_get_fd(happy_connect *self);

/**
 * How long to wait at most before the next dispatch, in milliseconds, for loops that prefer a timer of their
 * own; rounded up. Ask again after each dispatch.
 *
 * Returns
 *   0                 at once: nothing was dispatched yet, something is due, or it is finished
 *   more              until then
 *   -1                no limit; or there is nothing to dispatch: its result was taken, it was made before a
 *                     fork, another thread or a callback is in it, NULL
 *
 * Threads: any, one at a time
 */
int happy_connect_get_timeout_ms(happy_connect *self);

/**
 * Does what is due; never blocks.
 *
 * Returns
 *   HAPPY_OK          finished: take the result
 *   HAPPY_EAGAIN      it runs
 *   HAPPY_EREENTRANT  from inside one of its callbacks, or while another thread is in it
 *   HAPPY_ESTATE      the result was taken before
 *   HAPPY_EFORKED
 *   HAPPY_EINTERNAL
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_connect_dispatch(happy_connect *self);

/**
 * Answers for an attempt that is held, after HAPPY_CONFIRM_LATER. Then dispatch or wait as ever: the one
 * descriptor is readable.
 *
 * Parameters
 *   fd                the socket that `confirm` of the options was given. Wanted, it is put into the mode
 *                     in which it is handed over, and is the result's; else it is closed before this
 *                     returns
 *   wanted            HAPPY_CONFIRM_YES or HAPPY_CONFIRM_NO
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_ENOENT      no attempt is held with `fd`: it is not connected yet, or it has ended, or it was
 *                     answered for before; nothing has changed
 *   HAPPY_ESTATE      the result was taken before
 *   HAPPY_EREENTRANT  from inside one of its callbacks, or while another thread is in it
 *                     (happy_connect_interrupt makes it leave)
 *   HAPPY_EFORKED
 *   HAPPY_EINTERNAL
 *   HAPPY_EINVALID    `self` is NULL, or `wanted` is another number
 *
 * Threads: any, one at a time
 */
int happy_connect_confirm(happy_connect *self, int fd, int wanted);

/**
 * Takes the result, once.
 *
 * Parameters
 *   ret_result        receives how it went, on failure too; may be NULL
 *
 * Returns
 *   a descriptor      the connected socket, the caller's to close
 *   -1                with errno as init_inetsock_happy sets it, and the status in `ret_result`: how the
 *                     connect ended, or HAPPY_EAGAIN while it runs, HAPPY_ESTATE when the result was taken
 *                     before, HAPPY_EREENTRANT (errno EBUSY) from inside a callback or while another thread
 *                     is in it, HAPPY_EFORKED (errno ESTALE)
 *
 * Threads: any, one at a time
 */
int happy_connect_take_result(happy_connect *self, happy_result *ret_result);

/**
 * Frees the connect and closes what is left of it, the winner too if it was not taken. Never waits. NULL is
 * a no-op. From inside one of its callbacks, or while another thread is in it, the connect is cancelled, and
 * freed when that function returns.
 *
 * Parameters
 *   self              the connect, which is gone afterwards
 *
 * Threads: any; no function of it may be called afterwards
 */
void happy_connect_free(happy_connect *self);

/* ---- Many connects on one thread ----------------------------------------------------------------------- */

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
 * Many connects, driven by one thread at a time: a call that comes while another thread is in a function of
 * the handle changes nothing and answers HAPPY_EREENTRANT (-1 where a descriptor, with errno EBUSY, or
 * milliseconds are the answer). happy_multi_wakeup may be called at any time by any thread. happy_multi_free
 * must not come while another thread is in the handle; if it does it does nothing.
 *
 * There are two ways to drive it, both in turns that never block.
 *
 * By one descriptor: happy_multi_get_fd is readable whenever there is something to do, timers included; then
 * call happy_multi_dispatch. A program without a loop calls happy_multi_wait instead.
 *
 * By socket action, for loops that watch plain sockets: after happy_multi_set_socket_callback the library
 * says which descriptors to watch and (happy_multi_set_timer_callback) when to call without any being ready;
 * the loop answers with happy_multi_socket_action.
 *
 * Callbacks may add and cancel connects, and free the handle; calls that drive it (_dispatch, _wait,
 * _socket_action) answer HAPPY_EREENTRANT from inside a callback. In the child of a fork every function that
 * answers a status answers HAPPY_EFORKED, happy_multi_get_fd -1 with errno ESTALE, and
 * happy_multi_get_timeout_ms -1; happy_multi_free frees.
 */
typedef struct happy_multi happy_multi;

/**
 * Tells how a connect ended: exactly once for each that was added, from inside happy_multi_dispatch, _wait,
 * _socket_action, _cancel or _free.
 *
 * Parameters
 *   self              the handle
 *   id                the connect's number, which means nothing any more
 *   result            how it ended; it and what it points to live until the callback returns. Its `fd` is
 *                     the callee's from then on; its `attempts` has all `attempts_count` attempts, to be
 *                     gone through with happy_result_get_attempt
 *   userdata          that of happy_multi_add
 *
 * Threads: the one that drives the handle
 */
typedef void (*happy_done_fn)(happy_multi *self,
                              uint64_t id,
                              const happy_result *result,
                              void *userdata);

/**
 * Asks the caller's loop to watch a descriptor, level-triggered, or to watch it no more. Called from inside
 * the functions that drive the handle.
 *
 * Parameters
 *   self              the handle
 *   fd                the descriptor, which stays the library's
 *   what              the sum of HAPPY_POLL_IN and HAPPY_POLL_OUT; or HAPPY_POLL_REMOVE, which always comes
 *                     before the descriptor is closed or handed over
 *   socket_data       what happy_multi_assign set for it, else NULL
 *   userdata          that of happy_multi_set_socket_callback
 *
 * Threads: the one that drives the handle
 */
typedef void (*happy_socket_fn)(happy_multi *self, int fd, int what, void *socket_data, void *userdata);

/**
 * Asks the caller's loop for one call of happy_multi_socket_action(HAPPY_SOCKET_TIMEOUT) (driven by one
 * descriptor: of happy_multi_dispatch) at a later time, instead of what was asked before.
 *
 * Parameters
 *   self              the handle
 *   timeout_ms        in this many milliseconds; 0: soon, but not from inside this callback; -1: not at all
 *   userdata          that of happy_multi_set_timer_callback
 *
 * Threads: the one that drives the handle
 */
typedef void (*happy_timer_fn)(happy_multi *self, int timeout_ms, void *userdata);

/**
 * Makes a handle. It has three descriptors of its own (epoll, eventfd, timerfd).
 *
 * Parameters
 *   ret_multi         receives the handle, the caller's to free with happy_multi_free; written only with
 *                     HAPPY_OK
 *
 * Returns
 *   HAPPY_OK          and the handle in `*ret_multi`
 *   HAPPY_ESYSCALL    a descriptor could not be made, with errno (EMFILE, ENFILE, ENOMEM)
 *   HAPPY_ENOMEM
 *   HAPPY_EINVALID    `ret_multi` is NULL
 *
 * Threads: any
 */
int happy_multi_new(happy_multi **ret_multi);

/**
 * Ends every connect that is left in its done callback (HAPPY_ECANCELLED, unless it had ended otherwise a
 * moment before) and frees the handle. Never waits for a lookup. NULL is a no-op.
 *
 * From inside a callback it takes effect when the outermost function returns that runs for this handle;
 * until then nothing more is begun. In the child of a fork nothing is called and nothing of the parent's is
 * touched: the child's copies are closed and freed.
 *
 * Parameters
 *   self              the handle, which is gone afterwards
 *
 * Threads: any, one at a time: none may be in the handle
 */
void happy_multi_free(happy_multi *self);

/**
 * Adds a connect; its limits count from here, also while it waits for a permit
 * (happy_multi_set_max_attempts).
 *
 * It opens no descriptor: when there is none left (EMFILE) the connect's attempts fail so, and its done
 * callback says HAPPY_ESYSCALL with that errno and "socket(2)".
 *
 * Parameters
 *   remote_host, remote_service, options
 *                     as for init_inetsock_happy; copied
 *   done              called once with `userdata`, and not at all when adding failed; never from inside this
 *                     function, except where the timer callback that it calls frees the handle
 *   ret_id            receives the connect's number, never 0 and not used again; written only with HAPPY_OK;
 *                     may be NULL
 *   ret_result        written when adding failed, and says why; may be NULL
 *   userdata          handed to `done`; it stays the caller's
 *
 * Returns
 *   HAPPY_OK          and the connect's number in `*ret_id`
 *   HAPPY_EINVALID    an argument is refused: `ret_result->argument` and happy_error_message() name it
 *   HAPPY_ENOMEM      out of memory, or 16 million connects are in the handle
 *   HAPPY_ESTATE      the handle is being freed
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *
 * Threads: any, one at a time
 */
int happy_multi_add(happy_multi *self,
                    const char *remote_host,
                    const char *remote_service,
                    const happy_options *options,
                    happy_done_fn done,
                    uint64_t *ret_id,
                    happy_result *ret_result,
                    void *userdata);

/**
 * Ends a connect: its done callback is called with HAPPY_ECANCELLED (unless its end was decided a moment
 * before) before this returns; from inside a callback: after that callback has returned, before the function
 * returns that called it (from inside the timer callback of happy_multi_add: in the next turn).
 *
 * Parameters
 *   id                the connect's number, from happy_multi_add
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_ENOENT      there is no such connect, or it has ended
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_cancel(happy_multi *self, uint64_t id);

/**
 * Answers for an attempt that is held, after HAPPY_CONFIRM_LATER, and does what is due then: the done
 * callback may be called before this returns.
 *
 * Parameters
 *   id                the connect's number, from happy_multi_add
 *   fd                the socket that `confirm` of the options was given. Wanted, it is put into the mode
 *                     in which it is handed over, and is the result's; else it is closed before this
 *                     returns
 *   wanted            HAPPY_CONFIRM_YES or HAPPY_CONFIRM_NO
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_ENOENT      there is no such connect, or no attempt of it is held with `fd`: it is not
 *                     connected yet, or it has ended, or it was answered for before; nothing has changed
 *   HAPPY_EREENTRANT  from inside a callback, or while another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL, or `wanted` is another number
 *
 * Threads: any, one at a time
 */
int happy_multi_confirm(happy_multi *self, uint64_t id, int fd, int wanted);

/**
 * The one descriptor: readable whenever happy_multi_dispatch has something to do, timers included. It is the
 * handle's own and the same until happy_multi_free: do not read it or close it.
 *
 * Returns
 *   a descriptor      the handle's own
 *   -1                with errno: EINVAL for NULL, or where a socket callback is set; ESTALE in the child of
 *                     a fork; EBUSY while another thread is in the handle
 *
 * Threads: any, one at a time
 */
int happy_multi_get_fd(happy_multi *self);

/**
 * How long to wait at most before the next turn, in milliseconds, for loops that prefer a timer of their
 * own; rounded up. Ask again after each turn and each add.
 *
 * Returns
 *   0                 at once
 *   more              until then
 *   -1                no limit; or there is nothing to drive: made before a fork, another thread is in the
 *                     handle, NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_get_timeout_ms(happy_multi *self);

/**
 * Does what is due; never blocks. Begins a limited number of connects in one turn: with many added at once
 * the descriptor stays readable, and the timeout 0, until all have begun. The handle may be gone afterwards
 * if a callback has freed it: `*ret_running` is 0 then.
 *
 * Parameters
 *   ret_running       receives the number of connects left; written only with HAPPY_OK, and may be NULL
 *
 * Returns
 *   HAPPY_OK          and the number of connects left in `*ret_running`
 *   HAPPY_EREENTRANT  from inside a callback, or while another thread is in the handle
 *   HAPPY_ESTATE      a socket callback is set
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_dispatch(happy_multi *self, int *ret_running);

/**
 * Waits until something is due, for `timeout_ms` at most, then does it as happy_multi_dispatch. Returns
 * earlier after happy_multi_wakeup or a signal. Without connects it waits for the limit or a wake-up. Call
 * it until nothing is left:
 *
 *     int running = 1;
 *     while (running > 0 && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
 *     }
 *
 * Parameters
 *   timeout_ms        how long to wait at most, in milliseconds; -1: no limit
 *   ret_running       as for happy_multi_dispatch
 *
 * Returns
 *   as happy_multi_dispatch
 *   HAPPY_EINVALID    also for a limit below -1
 *
 * Threads: any, one at a time
 */
int happy_multi_wait(happy_multi *self, int timeout_ms, int *ret_running);

/**
 * Has the handle driven by socket action: from now on `callback` is told which descriptors to watch, and
 * happy_multi_get_fd, _dispatch and _wait answer -1 or HAPPY_ESTATE.
 *
 * Parameters
 *   callback          told which descriptors to watch; NULL: driven by one descriptor again
 *   userdata          handed to `callback`; it stays the caller's, and has to live as long as the callback
 *                     is set
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_ESTATE      connects are in the handle
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_set_socket_callback(happy_multi *self, happy_socket_fn callback, void *userdata);

/**
 * Has `callback` told when to drive the handle although no descriptor is ready. It is called when that time
 * changes: after happy_multi_add and at the end of each turn.
 *
 * Parameters
 *   callback          told in how many milliseconds; NULL: nobody is told
 *   userdata          handed to `callback`; it stays the caller's, and has to live as long as the callback
 *                     is set
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_ESTATE      connects are in the handle
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_set_timer_callback(happy_multi *self, happy_timer_fn callback, void *userdata);

/**
 * Keeps a pointer of the caller's with a descriptor that the socket callback was told to watch, to be given
 * with each later call for it.
 *
 * Parameters
 *   fd                a descriptor that the socket callback was told to watch
 *   socket_data       given with each later call for it; it stays the caller's
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_ENOENT      it is not watched
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_assign(happy_multi *self, int fd, void *socket_data);

/**
 * Tells that a watched descriptor is ready, or with HAPPY_SOCKET_TIMEOUT that the time has come that the
 * timer callback was told; does what is due; never blocks. A spurious call is harmless: what the descriptor
 * says itself counts. The handle may be gone afterwards if a callback has freed it: `*ret_running` is 0
 * then.
 *
 * Parameters
 *   fd_or_timeout     a descriptor, or HAPPY_SOCKET_TIMEOUT
 *   events            the sum of HAPPY_POLL_IN, HAPPY_POLL_OUT and HAPPY_POLL_ERROR; 0: the caller does not
 *                     know
 *   ret_running       as for happy_multi_dispatch
 *
 * Returns
 *   HAPPY_OK          and the number of connects left in `*ret_running`
 *   HAPPY_ENOENT      harmless too: the descriptor is not (or no longer) watched, such as a late event of
 *                     one that was removed
 *   HAPPY_EREENTRANT  from inside a callback, or while another thread is in the handle
 *   HAPPY_ESTATE      there is no socket callback
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL, or other events
 *
 * Threads: any, one at a time
 */
int happy_multi_socket_action(happy_multi *self, int fd_or_timeout, int events, int *ret_running);

/**
 * Makes a running happy_multi_wait return, or the next one; makes the descriptor of happy_multi_get_fd
 * readable, or (driven by socket action, while connects are in the handle) the wake-up descriptor.
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, at any time until happy_multi_free is called, and any signal handler
 */
int happy_multi_wakeup(happy_multi *self);

/**
 * Caps the connection attempts in flight in this handle. What is over it waits, connects that were added
 * earlier first; their limits go on. A connect whose earlier attempts hold permits may wait for another, so
 * set a limit too where hosts may not answer.
 *
 * Parameters
 *   max_attempts      a number of attempts; 0, the default: no cap
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_set_max_attempts(happy_multi *self, uint32_t max_attempts);

/**
 * Caps the questions in flight in this handle. A name is a question for each address family, and a local
 * host is one more; a question counts from its start, also while it waits for a worker, until it is answered
 * or given up: one that was given up counts no more, although its worker may still be inside libc. Numeric
 * hosts ask nothing.
 *
 * Parameters
 *   max_lookups       a number of questions; 0, the default: no cap but the worker threads of the process,
 *                     and what name servers keep up with
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_EREENTRANT  another thread is in the handle
 *   HAPPY_EFORKED
 *   HAPPY_EINVALID    `self` is NULL
 *
 * Threads: any, one at a time
 */
int happy_multi_set_max_lookups(happy_multi *self, uint32_t max_lookups);

#ifdef __cplusplus
}
#endif

#endif /* HAPPYSOCK_H */
