#define _GNU_SOURCE
#include "shim.h"
#include "hostent.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Whose call ---------------------------------------------------------------------------------------------------- */

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

static inline bool from_library(const void *caller)
{
    return (uintptr_t)caller >= library_start && (uintptr_t)caller < library_end;
}

#define CALLER __builtin_return_address(0)

/* The next definition of a function after this object's. The pointer is kept; looking twice at once does no harm. */
#define REAL(name) \
    static _Atomic(void *) real_##name; \
    if (real_##name == NULL) \
        real_##name = dlsym(RTLD_NEXT, #name); \
    __typeof__(&name) real = (__typeof__(&name))real_##name

/* ---- Which call fails ----------------------------------------------------------------------------------------------- */

/* From the manual pages of Linux (section 2 and 3). A pointer, size or descriptor that is always valid here is no reason to
 * leave its error out: a seccomp filter or a security module may answer with any of them. */
static const int socket_errors[] = {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT};
static const int bind_errors[] = {EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK, EADDRNOTAVAIL, EFAULT, ELOOP, ENAMETOOLONG,
                                  ENOENT, ENOMEM, ENOTDIR, EROFS};
static const int connect_errors[] = {EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF,
                                     ECONNREFUSED, EFAULT, EINPROGRESS, EINTR, EISCONN, ENETUNREACH, ENOTSOCK, EPROTOTYPE,
                                     ETIMEDOUT};
static const int getsockopt_errors[] = {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, PENDING + ECONNREFUSED,
                                        PENDING + ETIMEDOUT, PENDING + EHOSTUNREACH, PENDING + ENETUNREACH,
                                        PENDING + ECONNRESET};
static const int setsockopt_errors[] = {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK};
static const int ioctl_errors[] = {EBADF, EFAULT, EINVAL, ENOTTY};
static const int fcntl_errors[] = {EACCES, EAGAIN, EBADF, EINVAL, EPERM};
static const int getsockname_errors[] = {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK};
static const int ppoll_errors[] = {EFAULT, EINTR, EINVAL, ENOMEM};
static const int epoll_create_errors[] = {EINVAL, EMFILE, ENFILE, ENOMEM};
static const int epoll_ctl_errors[] = {EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM};
static const int epoll_wait_errors[] = {EBADF, EFAULT, EINTR, EINVAL};
static const int eventfd_errors[] = {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM};
static const int timerfd_create_errors[] = {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, EPERM};
static const int timerfd_settime_errors[] = {EBADF, EFAULT, EINVAL, ECANCELED};
static const int read_errors[] = {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR};
/* For an eventfd: the others of write(2) leave it unwritten for ever, which no kernel does to a valid eventfd. */
static const int write_errors[] = {EAGAIN, EINTR};
static const int close_errors[] = {EINTR, EIO, ENOSPC, EDQUOT};
static const int open_errors[] = {EACCES, EINTR, EMFILE, ENFILE, ENOENT, ENOMEM};
/* FUTEX_WAIT alone: FUTEX_WAKE fails only for an address that is none. */
static const int futex_wait_errors[] = {EAGAIN, EINTR, ETIMEDOUT};
static const int thread_create_errors[] = {EAGAIN, EINVAL, EPERM};
static const int thread_attributes_errors[] = {ENOMEM};
static const int stack_size_errors[] = {EINVAL};
static const int mmap_errors[] = {EACCES, EAGAIN, EINVAL, ENFILE, ENOMEM, EPERM};
static const int madvise_errors[] = {EACCES, EAGAIN, EINVAL, ENOMEM, EPERM};
static const int getaddrinfo_errors[] = {EAI_AGAIN, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NODATA, EAI_NONAME, EAI_SERVICE,
                                         EAI_ADDRFAMILY, LOOKUP_ERRNO + EMFILE, LOOKUP_ERRNO + ENOENT};
static const int gethostbyname_errors[] = {HOST_ERROR + HOST_NOT_FOUND, HOST_ERROR + NO_DATA, HOST_ERROR + NO_RECOVERY,
                                           HOST_ERROR + TRY_AGAIN, LOOKUP_ERRNO + EMFILE, LOOKUP_ERRNO + ENOENT, ERANGE};
static const int allocate_errors[] = {ENOMEM};

static const struct {
    const char *name;
    const int *errors;
    size_t count;
} functions[FN_COUNT] = {
#define FUNCTION(id, name, errors) [id] = {name, errors, COUNT(errors)}
    FUNCTION(FN_SOCKET, "socket", socket_errors),
    FUNCTION(FN_BIND, "bind", bind_errors),
    FUNCTION(FN_CONNECT, "connect", connect_errors),
    FUNCTION(FN_GETSOCKOPT, "getsockopt", getsockopt_errors),
    FUNCTION(FN_SETSOCKOPT, "setsockopt", setsockopt_errors),
    FUNCTION(FN_IOCTL, "ioctl", ioctl_errors),
    FUNCTION(FN_FCNTL, "fcntl", fcntl_errors),
    FUNCTION(FN_GETSOCKNAME, "getsockname", getsockname_errors),
    FUNCTION(FN_PPOLL, "ppoll", ppoll_errors),
    FUNCTION(FN_EPOLL_CREATE, "epoll_create1", epoll_create_errors),
    FUNCTION(FN_EPOLL_CTL, "epoll_ctl", epoll_ctl_errors),
    FUNCTION(FN_EPOLL_WAIT, "epoll_wait", epoll_wait_errors),
    FUNCTION(FN_EVENTFD, "eventfd", eventfd_errors),
    FUNCTION(FN_TIMERFD_CREATE, "timerfd_create", timerfd_create_errors),
    FUNCTION(FN_TIMERFD_SETTIME, "timerfd_settime", timerfd_settime_errors),
    FUNCTION(FN_READ, "read", read_errors),
    FUNCTION(FN_WRITE, "write", write_errors),
    FUNCTION(FN_CLOSE, "close", close_errors),
    FUNCTION(FN_OPEN, "open", open_errors),
    FUNCTION(FN_FUTEX_WAIT, "futex(FUTEX_WAIT)", futex_wait_errors),
    FUNCTION(FN_THREAD_CREATE, "pthread_create", thread_create_errors),
    FUNCTION(FN_THREAD_ATTRIBUTES, "pthread_attr_init", thread_attributes_errors),
    FUNCTION(FN_STACK_SIZE, "pthread_attr_setstacksize", stack_size_errors),
    FUNCTION(FN_MMAP, "mmap", mmap_errors),
    FUNCTION(FN_MADVISE, "madvise", madvise_errors),
    FUNCTION(FN_GETADDRINFO, "getaddrinfo", getaddrinfo_errors),
    FUNCTION(FN_GETHOSTBYNAME, "gethostbyname2_r", gethostbyname_errors),
    FUNCTION(FN_ALLOCATE, "malloc", allocate_errors),
};

EXPORT const char *function_name(enum function function)
{
    return functions[function].name;
}

EXPORT const int *function_errors(enum function function, size_t *ret_count)
{
    *ret_count = functions[function].count;
    return functions[function].errors;
}

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

static unsigned random_number(void)
{
    /* A linear congruence is random enough to choose calls by; the high bits are the good ones. */
    unsigned old = random_state, next;
    do
        next = old * 1664525u + 1013904223u;
    while (!atomic_compare_exchange_weak(&random_state, &old, next));
    return next >> 8;
}

/* The error with which this call is to fail, or 0. */
static int fault(enum function function, const void *caller, size_t size)
{
    if (!from_library(caller))
        return 0;
    unsigned one_in = random_one_in;
    if (one_in != 0 && function != FN_ALLOCATE && random_number() % one_in == 0) {
        total++;
        return functions[function].errors[random_number() % functions[function].count];
    }
    if (armed_function != (int)function || (armed_size != 0 && armed_size != size))
        return 0;
    if (atomic_fetch_add(&armed_calls, 1) + 1 != armed_nth)
        return 0;
    fired = true;
    total++;
    return armed_error;
}

#define FAIL_WITH(error, answer) \
    do { \
        errno = (error); \
        return (answer); \
    } while (0)

/* ---- System calls --------------------------------------------------------------------------------------------------- */

EXPORT int socket(int domain, int type, int protocol)
{
    REAL(socket);
    int error = fault(FN_SOCKET, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(domain, type, protocol);
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    REAL(bind);
    int error = fault(FN_BIND, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, address, length);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    REAL(connect);
    int error = fault(FN_CONNECT, CALLER, 0);
    if (error == EINTR || error == EINPROGRESS) {
        /* These two mean that it goes on by itself; so it does. */
        if (real(fd, address, length) == 0 || errno == EINPROGRESS)
            FAIL_WITH(error, -1);
        return -1;
    }
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, address, length);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    REAL(getsockopt);
    int error = fault(FN_GETSOCKOPT, CALLER, 0);
    if (error > PENDING) {
        int answer = real(fd, level, name, value, length);
        if (answer == 0 && level == SOL_SOCKET && name == SO_ERROR)
            *(int *)value = error - PENDING;
        return answer;
    }
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, level, name, value, length);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    REAL(setsockopt);
    int error = fault(FN_SETSOCKOPT, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, level, name, value, length);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    static _Atomic(void *) next;
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int error = fault(FN_IOCTL, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return ((int (*)(int, unsigned long, void *))next)(fd, request, argument);
}

EXPORT int fcntl(int fd, int command, ...)
{
    static _Atomic(void *) next;
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "fcntl");
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    /* F_GETFD: the standard library's own check, in debug builds, that a descriptor it closes is open. */
    int error = command == F_GETFD ? 0 : fault(FN_FCNTL, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return ((int (*)(int, int, void *))next)(fd, command, argument);
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    REAL(getsockname);
    int error = fault(FN_GETSOCKNAME, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, address, length);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    REAL(ppoll);
    int error = fault(FN_PPOLL, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fds, count, timeout, mask);
}

EXPORT int epoll_create1(int flags)
{
    REAL(epoll_create1);
    int error = fault(FN_EPOLL_CREATE, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(flags);
}

EXPORT int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    REAL(epoll_ctl);
    int error = fault(FN_EPOLL_CTL, CALLER, 0);
    if (error != 0) {
        /* A removal that fails for a reason of its own has still to happen here: the kernel refuses a removal only when there is
         * nothing to remove. */
        if (operation == EPOLL_CTL_DEL)
            real(set, operation, fd, event);
        FAIL_WITH(error, -1);
    }
    return real(set, operation, fd, event);
}

EXPORT int epoll_wait(int set, struct epoll_event *events, int count, int timeout)
{
    REAL(epoll_wait);
    int error = fault(FN_EPOLL_WAIT, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(set, events, count, timeout);
}

EXPORT int eventfd(unsigned value, int flags)
{
    REAL(eventfd);
    int error = fault(FN_EVENTFD, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(value, flags);
}

EXPORT int timerfd_create(int clock, int flags)
{
    REAL(timerfd_create);
    int error = fault(FN_TIMERFD_CREATE, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(clock, flags);
}

EXPORT int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
    REAL(timerfd_settime);
    int error = fault(FN_TIMERFD_SETTIME, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, flags, value, old);
}

EXPORT ssize_t read(int fd, void *bytes, size_t count)
{
    REAL(read);
    int error = fault(FN_READ, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, bytes, count);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write);
    int error = fault(FN_WRITE, CALLER, 0);
    if (error == EAGAIN) {
        /* eventfd(2): the counter is at its end. So it is, and the descriptor is readable. */
        uint64_t most = UINT64_MAX - 1;
        real(fd, &most, sizeof most);
    }
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, bytes, count);
}

EXPORT int close(int fd)
{
    REAL(close);
    int error = fault(FN_CLOSE, CALLER, 0);
    int answer = real(fd);
    /* Linux has closed the descriptor whatever close(2) says. */
    if (error != 0)
        FAIL_WITH(error, -1);
    return answer;
}

EXPORT int open64(const char *path, int flags, ...)
{
    static _Atomic(void *) next;
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "open64");
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    int error = fault(FN_OPEN, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return ((int (*)(const char *, int, ...))next)(path, flags, mode);
}

EXPORT long syscall(long number, ...)
{
    static _Atomic(void *) next;
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "syscall");
    va_list list;
    va_start(list, number);
    long a[6];
    for (size_t i = 0; i < COUNT(a); i++)
        a[i] = va_arg(list, long);
    va_end(list);
    int operation = (int)a[1] & FUTEX_CMD_MASK;
    if (number == SYS_futex && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET)) {
        int error = fault(FN_FUTEX_WAIT, CALLER, 0);
        if (error != 0)
            FAIL_WITH(error, -1);
    }
    return ((long (*)(long, ...))next)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    int error = fault(FN_MMAP, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, MAP_FAILED);
    return real(address, length, protection, flags, fd, offset);
}

EXPORT int madvise(void *address, size_t length, int advice)
{
    REAL(madvise);
    int error = fault(FN_MADVISE, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(address, length, advice);
}

/* ---- Threads -------------------------------------------------------------------------------------------------------- */

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    REAL(pthread_create);
    int error = fault(FN_THREAD_CREATE, CALLER, 0);
    return error != 0 ? error : real(thread, attributes, body, argument);
}

EXPORT int pthread_attr_init(pthread_attr_t *attributes)
{
    REAL(pthread_attr_init);
    int error = fault(FN_THREAD_ATTRIBUTES, CALLER, 0);
    return error != 0 ? error : real(attributes);
}

EXPORT int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
{
    REAL(pthread_attr_setstacksize);
    int error = fault(FN_STACK_SIZE, CALLER, 0);
    return error != 0 ? error : real(attributes, size);
}

/* ---- Memory --------------------------------------------------------------------------------------------------------- */

/* glibc's own names for its allocator: they can be called before dlsym(3) can. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* In front of every block of the library's. The mark depends on the address, and is wiped when the block is freed. */
struct header {
    uint64_t mark;
    uint32_t size, offset;
};
#define MARK 0x9e3779b97f4a7c15u
_Static_assert(sizeof(struct header) == 16, "a block stays aligned");

static atomic_size_t bytes;
static atomic_long blocks;
/* Set while libc looks up for the library: what it allocates is the library's to free. */
static _Thread_local bool in_lookup __attribute__((tls_model("initial-exec")));

EXPORT size_t library_bytes(void)
{
    return bytes;
}

EXPORT long library_blocks(void)
{
    return blocks;
}

static struct header *header_of(void *block)
{
    struct header *header = (struct header *)block - 1;
    return header->mark == (MARK ^ (uintptr_t)block) ? header : NULL;
}

static void *tracked(size_t alignment, size_t size)
{
    uint32_t offset = alignment > sizeof(struct header) ? (uint32_t)alignment : sizeof(struct header);
    char *base = __libc_memalign(offset, size + offset);
    if (base == NULL)
        return NULL;
    char *block = base + offset;
    ((struct header *)block)[-1] = (struct header){MARK ^ (uintptr_t)block, (uint32_t)size, offset};
    bytes += size;
    blocks++;
    return block;
}

static void untracked(void *block, struct header *header)
{
    bytes -= header->size;
    blocks--;
    header->mark = 0;
    __libc_free((char *)block - header->offset);
}

EXPORT void *malloc(size_t size)
{
    if (!from_library(CALLER) && !in_lookup)
        return __libc_malloc(size);
    if (fault(FN_ALLOCATE, CALLER, size) != 0)
        FAIL_WITH(ENOMEM, NULL);
    return tracked(0, size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!from_library(CALLER) && !in_lookup)
        return __libc_calloc(count, size);
    if (fault(FN_ALLOCATE, CALLER, count * size) != 0)
        FAIL_WITH(ENOMEM, NULL);
    void *block = tracked(0, count * size);
    return block == NULL ? NULL : memset(block, 0, count * size);
}

EXPORT void *realloc(void *old, size_t size)
{
    struct header *header = old == NULL ? NULL : header_of(old);
    if (header == NULL && !(old == NULL && from_library(CALLER)))
        return __libc_realloc(old, size);
    if (fault(FN_ALLOCATE, CALLER, size) != 0)
        FAIL_WITH(ENOMEM, NULL);
    void *block = tracked(0, size);
    if (block != NULL && header != NULL) {
        memcpy(block, old, header->size < size ? header->size : size);
        untracked(old, header);
    }
    return block;
}

EXPORT int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
    bool theirs = from_library(CALLER);
    if (theirs && fault(FN_ALLOCATE, CALLER, size) != 0)
        return ENOMEM;
    void *block = theirs ? tracked(alignment, size) : __libc_memalign(alignment, size);
    if (block == NULL)
        return ENOMEM;
    *ret_block = block;
    return 0;
}

EXPORT void free(void *block)
{
    struct header *header = block == NULL ? NULL : header_of(block);
    if (header == NULL)
        __libc_free(block);
    else
        untracked(block, header);
}

/* ---- Lookups -------------------------------------------------------------------------------------------------------- */

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

/* Takes the time that the name stands for; false if it is none of ours. */
static bool take_time(const char *node)
{
    if (strcmp(node, "slow.test") == 0)
        nanosleep(&(struct timespec){.tv_nsec = random_number() % 5000000}, NULL);
    else if (strcmp(node, "stuck.test") == 0)
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
