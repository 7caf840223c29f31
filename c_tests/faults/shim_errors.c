/* The functions that can be made to fail, and with what. */
#define _GNU_SOURCE
#include "shim_internal.h"

#include <netdb.h>

/* From the manual pages of Linux (section 2 and 3). A pointer, size or descriptor that is always valid here is no
 * reason to leave its error out: a seccomp filter or a security module may answer with any of them. */
static const int socket_errors[] = {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT};
static const int bind_errors[] = {EACCES, EADDRINUSE,   EBADF,  EINVAL, ENOTSOCK, EADDRNOTAVAIL, EFAULT,
                                  ELOOP,  ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR,  EROFS};
static const int connect_errors[] = {EACCES,   EPERM,       EADDRINUSE,   EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN,
                                     EALREADY, EBADF,       ECONNREFUSED, EFAULT,        EINPROGRESS,  EINTR,
                                     EISCONN,  ENETUNREACH, ENOTSOCK,     EPROTOTYPE,    ETIMEDOUT};
static const int getsockopt_errors[] = {EBADF,
                                        EFAULT,
                                        EINVAL,
                                        ENOPROTOOPT,
                                        ENOTSOCK,
                                        PENDING + ECONNREFUSED,
                                        PENDING + ETIMEDOUT,
                                        PENDING + EHOSTUNREACH,
                                        PENDING + ENETUNREACH,
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
/* Of a connected datagram or stream socket. What was sent before may have been refused: then ECONNREFUSED comes of both. */
static const int send_errors[] = {EACCES, EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EINTR, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOMEM, EPIPE};
static const int recv_errors[] = {EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, ENOMEM};
/* A kernel without it, a filter, a signal. With the others, which no flag of ours brings about, the standard library's hash tables panic. */
static const int getrandom_errors[] = {EINTR, ENOSYS, EPERM};
static const int statx_errors[] = {EACCES, EBADF, EFAULT, EINVAL, ELOOP, ENOENT, ENOMEM, ENOTDIR};
static const int getaddrinfo_errors[] = {EAI_AGAIN,
                                         EAI_FAIL,
                                         EAI_FAMILY,
                                         EAI_MEMORY,
                                         EAI_NODATA,
                                         EAI_NONAME,
                                         EAI_SERVICE,
                                         EAI_ADDRFAMILY,
                                         LOOKUP_ERRNO + EMFILE,
                                         LOOKUP_ERRNO + ENOENT};
static const int gethostbyname_errors[] = {HOST_ERROR + HOST_NOT_FOUND,
                                           HOST_ERROR + NO_DATA,
                                           HOST_ERROR + NO_RECOVERY,
                                           HOST_ERROR + TRY_AGAIN,
                                           LOOKUP_ERRNO + EMFILE,
                                           LOOKUP_ERRNO + ENOENT,
                                           ERANGE};
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
    FUNCTION(FN_SEND, "send", send_errors),
    FUNCTION(FN_RECV, "recv", recv_errors),
    FUNCTION(FN_GETRANDOM, "getrandom", getrandom_errors),
    FUNCTION(FN_STATX, "statx", statx_errors),
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
