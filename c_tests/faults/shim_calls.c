/* The system calls and the functions of threads that the library makes. */
#define _GNU_SOURCE
#include "shim_internal.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* ---- System calls ----------------------------------------------------------------------------------------------- */

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
        /* A removal that fails for a reason of its own has still to happen here: the kernel refuses a removal only when
         * there is nothing to remove. */
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

EXPORT ssize_t send(int fd, const void *bytes, size_t count, int flags)
{
    REAL(send);
    int error = fault(FN_SEND, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, bytes, count, flags);
}

EXPORT ssize_t recv(int fd, void *bytes, size_t count, int flags)
{
    REAL(recv);
    int error = fault(FN_RECV, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(fd, bytes, count, flags);
}

EXPORT ssize_t getrandom(void *bytes, size_t count, unsigned flags)
{
    REAL(getrandom);
    int error = fault(FN_GETRANDOM, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(bytes, count, flags);
}

EXPORT int statx(int directory, const char *path, int flags, unsigned mask, struct statx *status)
{
    REAL(statx);
    int error = fault(FN_STATX, CALLER, 0);
    if (error != 0)
        FAIL_WITH(error, -1);
    return real(directory, path, flags, mask, status);
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

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
