/* The shim: stands between the library and libc, counts the calls that the library makes, and makes one of them fail.
 *
 * It is a shared object that a test links before libhappysock (or that LD_PRELOAD brings). A call is the library's when
 * its return address lies in libhappysock.so, whatever thread makes it; the calls of the test and of libc itself pass.
 * clock_gettime(2) is left alone: with a clock that exists and a valid pointer it has no error to give. */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>

enum function {
    FN_SOCKET, FN_BIND, FN_CONNECT, FN_GETSOCKOPT, FN_SETSOCKOPT, FN_IOCTL, FN_FCNTL, FN_GETSOCKNAME, FN_PPOLL,
    FN_EPOLL_CREATE, FN_EPOLL_CTL, FN_EPOLL_WAIT, FN_EVENTFD, FN_TIMERFD_CREATE, FN_TIMERFD_SETTIME, FN_READ, FN_WRITE,
    FN_CLOSE, FN_OPEN, FN_FUTEX_WAIT, FN_THREAD_CREATE, FN_THREAD_ATTRIBUTES, FN_STACK_SIZE, FN_MMAP, FN_MADVISE,
    FN_SEND, FN_RECV,
    FN_GETRANDOM, FN_STATX, FN_GETADDRINFO, FN_GETHOSTBYNAME, FN_ALLOCATE, FN_COUNT
};

/* A pending socket error: getsockopt(SO_ERROR) succeeds and reports the errno that remains. */
#define PENDING 1000
/* For lookups: EAI_SYSTEM or NETDB_INTERNAL with the errno that remains, or an h_errno; other values are EAI_* codes as they are. */
#define LOOKUP_ERRNO 2000
#define HOST_ERROR 3000

const char *function_name(enum function function);
/* The errors that the manual page of the function lists, and how many. */
const int *function_errors(enum function function, size_t *ret_count);

/* From now on the nth call (1 the next) that the library makes of the function fails with the error; the later ones pass.
 * With `size` not 0, only allocations of exactly this many bytes count. */
void fault_arm(enum function function, unsigned nth, int error, size_t size);
/* From now on one call in `one_in` of any function but FN_ALLOCATE fails with one of its errors, by chance. 0: none. */
void fault_arm_at_random(unsigned one_in);
/* Nothing fails any more; true if something has failed since it was armed. */
bool fault_disarm(void);
/* How many calls of the armed function the library has made since. */
unsigned fault_calls(void);
/* How many calls have failed so far, by whatever arming. */
unsigned long fault_total(void);

/* What the library has allocated (address lists included) and not freed. */
size_t library_bytes(void);
long library_blocks(void);
bool shim_sees_library(void);

/* Names that the shim's getaddrinfo and gethostbyname2_r answer themselves, in the hints' families:
 *   dual.test  ::1 and 127.0.0.1      slow.test  the same after 0 to 5 ms
 *   stuck.test the same, once the lookups are released            none.test  EAI_NONAME
 *   1.stuck.test and so on as stuck.test: each asks for itself, while equal names are asked for once
 * Every other name goes to libc. The shim without lookups (libshim_calls.so) defines neither function: the library then finds libc's own,
 * and looks names up by itself. */
int lookups_running(void);
void lookups_release(void);
void lookups_hold(void);

#endif
