"""Describes the extension happysock._native to cffi: what of happysock.h Python calls.

The compiler fills in what "..." leaves out, sizes and offsets among it, so that a header that has grown changes nothing here.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent


def crate():
    """The folder of the Rust library: beside the files of a source distribution, above them in a checkout."""
    beside = HERE / "crate"
    return beside if beside.is_dir() else HERE.parent.parent


builder = FFI()
builder.cdef(
    """
    #define HAPPY_OK ...
    #define HAPPY_ERESOLVE ...
    #define HAPPY_ESYSCALL ...
    #define HAPPY_ETIMEOUT ...
    #define HAPPY_ECANCELLED ...
    #define HAPPY_EINVALID ...
    #define HAPPY_ENOMEM ...
    #define HAPPY_EFORKED ...
    #define HAPPY_EAGAIN ...
    #define HAPPY_ENOENT ...
    #define HAPPY_FLAG_NO_FAST_FALLBACK ...
    #define HAPPY_FLAG_LOOKUP_BY_LIBC ...
    #define HAPPY_FLAG_GROWING_DELAY ...
    #define HAPPY_FLAG_SHARE_TIMEOUT ...
    #define HAPPY_FLAG_ONLY_CONNECTED_FAMILIES ...
    #define HAPPY_FLAG_NONBLOCKING ...
    #define HAPPY_CONFIRM_NO ...
    #define HAPPY_CONFIRM_YES ...
    #define HAPPY_CONFIRM_LATER ...
    #define HAPPY_OUTCOME_FAILED ...
    #define HAPPY_OUTCOME_TIMED_OUT ...

    typedef unsigned int socklen_t;
    struct addrinfo {
        int ai_flags;
        int ai_family;
        int ai_socktype;
        int ai_protocol;
        socklen_t ai_addrlen;
        struct sockaddr *ai_addr;
        char *ai_canonname;
        struct addrinfo *ai_next;
        ...;
    };
    struct sockaddr_storage { ...; };
    struct sockaddr_in { ...; };
    struct sockaddr_in6 { ...; };
    void freeaddrinfo(struct addrinfo *list);
    const char *gai_strerror(int code);

    const char *happy_status_str(int status);
    const char *happy_version(void);
    const char *happy_error_message(void);
    const char *happy_trace_kind_str(int kind);
    const char *happy_outcome_str(int outcome);

    typedef struct happy_lookup happy_lookup;
    int happy_lookup_new(const char *node, const char *service, const struct addrinfo *hints, int timeout_ms,
                         happy_lookup **ret_lookup);
    void happy_lookup_unref(happy_lookup *self);
    int happy_lookup_start(happy_lookup *self);
    int happy_lookup_get_fd(happy_lookup *self);
    int happy_lookup_dispatch(happy_lookup *self);
    int happy_lookup_take_result(happy_lookup *self, struct addrinfo **ret_res);

    typedef struct happy_history happy_history;
    int happy_history_new(happy_history **ret_history);
    void happy_history_unref(happy_history *self);
    int happy_history_flush(happy_history *self);
    typedef struct happy_history_report {
        size_t size;
        uint32_t destinations;
        uint32_t networks;
        uint32_t unanswered_v6;
        uint32_t unanswered_v4;
        ...;
    } happy_history_report;
    int happy_history_get_report(happy_history *self, happy_history_report *ret_report);

    typedef struct happy_trace_event {
        uint64_t time_ns;
        int32_t kind;
        int32_t family;
        int32_t attempt;
        int32_t outcome;
        int32_t status;
        int32_t gai_error;
        int32_t sys_errno;
        int32_t delay_ms;
        uint32_t count;
        socklen_t address_length;
        const struct sockaddr *address;
        const char *syscall;
        ...;
    } happy_trace_event;
    typedef struct happy_options {
        const char *local_host;
        const char *local_service;
        int32_t family;
        int32_t preferred_family;
        uint32_t flags;
        int32_t resolv_timeout_ms;
        int32_t connect_timeout_ms;
        int32_t open_timeout_ms;
        int32_t resolution_delay_ms;
        int32_t connection_attempt_delay_ms;
        uint32_t first_address_family_count;
        uint32_t max_attempts;
        int (*configure_socket)(int fd, const struct sockaddr *address, socklen_t address_length, void *userdata);
        void (*trace)(const happy_trace_event *event, void *userdata);
        void *userdata;
        const struct addrinfo *addresses;
        const struct sockaddr_in *local_v4;
        const struct sockaddr_in6 *local_v6;
        happy_history *history;
        const char *nat64;
        int (*confirm)(int fd, const struct sockaddr *address, socklen_t address_length, void *userdata);
        void (*release_socket)(int fd, void *userdata);
        ...;
    } happy_options;
    typedef struct happy_attempt {
        int32_t family;
        int32_t outcome;
        int32_t sys_errno;
        socklen_t address_length;
        const char *syscall;
        uint64_t started_ns;
        uint64_t ended_ns;
        struct sockaddr_storage address;
        ...;
    } happy_attempt;
    typedef struct happy_result {
        int32_t status;
        int32_t fd;
        int32_t gai_error;
        int32_t sys_errno;
        const char *argument;
        const char *reason;
        int32_t limit;
        uint32_t attempts_count;
        happy_attempt *attempts;
        size_t attempts_capacity;
        const char *source;
        ...;
    } happy_result;
    int happy_result_message(const happy_result *result, char *buffer, size_t size);

    typedef struct happy_connect happy_connect;
    int happy_connect_new(const char *remote_host, const char *remote_service, const happy_options *options,
                          happy_connect **ret_connect, happy_result *ret_result);
    int happy_connect_get_fd(happy_connect *self);
    int happy_connect_dispatch(happy_connect *self);
    int happy_connect_confirm(happy_connect *self, int fd, int wanted);
    int happy_connect_take_result(happy_connect *self, happy_result *ret_result);
    void happy_connect_free(happy_connect *self);

    void options_init(happy_options *options);
    void result_init(happy_result *result);

    extern "Python" int configure_socket(int fd, const struct sockaddr *address, socklen_t address_length, void *userdata);
    extern "Python" int confirm(int fd, const struct sockaddr *address, socklen_t address_length, void *userdata);
    extern "Python" void release_socket(int fd, void *userdata);
    extern "Python" void trace(const happy_trace_event *event, void *userdata);
    """
)
builder.set_source(
    "happysock._native",
    """
    #include <happysock.h>

    static void options_init(happy_options *options)
    {
        const happy_options defaults = HAPPY_OPTIONS_INIT;
        *options = defaults;
    }

    static void result_init(happy_result *result)
    {
        const happy_result empty = HAPPY_RESULT_INIT;
        *result = empty;
    }
    """,
    include_dirs=[str(crate() / "include")],
)
