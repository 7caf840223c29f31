/* The extension of the gem: HappySock::Native, which the Ruby files of the gem call. */

#include "happy_ruby.c"

/* Where a lookup's answer and its handle live: released by garbage collection where no ensure runs. */
struct native_lookup {
    happy_lookup *handle;
    struct addrinfo *list;
};

static void
native_lookup_release(struct native_lookup *lookup)
{
    happy_lookup_unref(lookup->handle);
    if (lookup->list) freeaddrinfo(lookup->list);
    *lookup = (struct native_lookup){ NULL, NULL };
}

static void
native_lookup_free(void *lookup)
{
    native_lookup_release(lookup);
    xfree(lookup);
}

static const rb_data_type_t native_lookup_type = {
    .wrap_struct_name = "happy_lookup",
    .function = { .dfree = native_lookup_free },
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static ID id_bind_call, id_binmode, id_sync, id_do_not_reverse_lookup;
static VALUE native_io_initialize;

/* Makes `socket`, which was allocated, a Ruby socket over `fd`: what the socket library does for its own. */
static VALUE
native_make_socket(VALUE socket, int fd)
{
    VALUE basic_socket = rb_path2class("BasicSocket");

    rb_funcall(native_io_initialize, id_bind_call, 3, socket, INT2NUM(fd), INT2FIX(O_RDWR));
    rb_funcall(socket, id_binmode, 0);
    rb_funcall(socket, id_sync, 1, Qtrue);
    rb_funcall(socket, id_do_not_reverse_lookup, 1, rb_funcall(basic_socket, rb_intern("do_not_reverse_lookup"), 0));
    return socket;
}

static VALUE
native_option(VALUE options, const char *name)
{
    return rb_hash_lookup(options, ID2SYM(rb_intern(name)));
}

/* connect(socket, host, port, local_host, local_port, options): connects an allocated socket and answers it. */
static VALUE
native_connect(VALUE self, VALUE socket, VALUE host, VALUE port, VALUE local_host, VALUE local_port, VALUE options)
{
    Check_Type(options, T_HASH);
    struct happy_ruby_request request = {
        .remote_host = host, .remote_service = port,
        .local_host = local_host, .local_service = local_port,
        .resolv_timeout = native_option(options, "resolv_timeout"),
        .connect_timeout = native_option(options, "connect_timeout"),
        .open_timeout = native_option(options, "open_timeout"),
        .resolution_delay = native_option(options, "resolution_delay"),
        .connection_attempt_delay = native_option(options, "connection_attempt_delay"),
        .test_mode_settings = native_option(options, "test_mode_settings"),
        .trace = native_option(options, "trace"),
        .fast_fallback = RTEST(native_option(options, "fast_fallback")),
        .socket_tcp = RTEST(native_option(options, "socket_tcp")),
        .make_socket = native_make_socket, .self = socket,
    };

    return happy_ruby_connect(&request);
}

struct native_lookup_call {
    struct native_lookup *lookup;
    VALUE host, service, timeout;
    struct addrinfo hints;
};

/* Waits on the lookup's descriptor, so that signals, Thread#raise and a fiber scheduler work as with any IO. */
static int
native_lookup_wait(happy_lookup *handle, struct addrinfo **ret_list)
{
    while (happy_lookup_dispatch(handle) == HAPPY_EAGAIN) {
        int fd = happy_lookup_get_fd(handle);
        if (fd < 0) rb_sys_fail("happy_lookup_get_fd");
        rb_wait_for_single_fd(fd, RB_WAITFD_IN, NULL);
    }
    return happy_lookup_take_result(handle, ret_list);
}

static VALUE
native_lookup_list(const struct addrinfo *list)
{
    VALUE found = rb_ary_new();

    for (const struct addrinfo *entry = list; entry; entry = entry->ai_next) {
        rb_ary_push(found, rb_ary_new_from_args(4, rb_str_new((const char *)entry->ai_addr, entry->ai_addrlen),
                                                INT2NUM(entry->ai_family), INT2NUM(entry->ai_socktype),
                                                INT2NUM(entry->ai_protocol)));
    }
    return found;
}

static VALUE
native_lookup_body(VALUE argument)
{
    struct native_lookup_call *call = (struct native_lookup_call *)argument;
    struct native_lookup *lookup = call->lookup;
    char host_buffer[NI_MAXHOST], service_buffer[NI_MAXSERV];
    const char *host = happy_ruby_host(call->host, host_buffer, sizeof(host_buffer));
    const char *service = happy_ruby_service(call->service, service_buffer, sizeof(service_buffer),
                                             &call->hints.ai_flags);
    int32_t timeout_ms = happy_ruby_milliseconds(call->timeout);

    int status = happy_lookup_new(host, service, &call->hints, timeout_ms, &lookup->handle);
    if (status == HAPPY_OK) status = happy_lookup_start(lookup->handle);
    if (status == HAPPY_OK) status = native_lookup_wait(lookup->handle, &lookup->list);

    if (status == 0) return native_lookup_list(lookup->list);
    int sys_errno = errno;
    if (status == EAI_SYSTEM && sys_errno == ETIMEDOUT && timeout_ms >= 0) {
        rb_exc_raise(happy_ruby_limit_error(call->host, call->service));
    }
    if (status <= HAPPY_ERESOLVE) {
        rb_raise(rb_eIOError, "looking up %+"PRIsVALUE" failed: %s", call->host, happy_status_str(status));
    }
    rb_exc_raise(happy_ruby_resolution_error(status, sys_errno, "getaddrinfo"));
}

static VALUE
native_lookup_cleanup(VALUE argument)
{
    native_lookup_release(((struct native_lookup_call *)argument)->lookup);
    return Qnil;
}

/* lookup(host, service, family, socktype, protocol, flags, timeout): [[sockaddr, family, socktype, protocol], ...] */
static VALUE
native_lookup(VALUE self, VALUE host, VALUE service, VALUE family, VALUE socktype, VALUE protocol, VALUE flags,
              VALUE timeout)
{
    struct native_lookup_call call = {
        .host = host, .service = service, .timeout = timeout,
        .hints = {
            .ai_family = NUM2INT(family), .ai_socktype = NUM2INT(socktype),
            .ai_protocol = NUM2INT(protocol), .ai_flags = NUM2INT(flags),
        },
    };
    VALUE owner = TypedData_Make_Struct(rb_cObject, struct native_lookup, &native_lookup_type, call.lookup);
    VALUE found = rb_ensure(native_lookup_body, (VALUE)&call, native_lookup_cleanup, (VALUE)&call);

    RB_GC_GUARD(owner);
    return found;
}

RUBY_FUNC_EXPORTED void
Init_happysock(void)
{
    rb_ext_ractor_safe(true);
    id_bind_call = rb_intern("bind_call");
    id_binmode = rb_intern("binmode");
    id_sync = rb_intern("sync=");
    id_do_not_reverse_lookup = rb_intern("do_not_reverse_lookup=");
    rb_gc_register_address(&native_io_initialize);
    native_io_initialize = rb_funcall(rb_cIO, rb_intern("instance_method"), 1, ID2SYM(rb_intern("initialize")));

    VALUE happysock = rb_define_module("HappySock");
    VALUE native = rb_define_module_under(happysock, "Native");
    rb_define_singleton_method(native, "connect", native_connect, 6);
    rb_define_singleton_method(native, "lookup", native_lookup, 7);
    happy_ruby_define_errors(happysock);
}
