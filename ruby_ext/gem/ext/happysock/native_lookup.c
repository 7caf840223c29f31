/* HappySock::Lookup: one lookup as a Ruby object. Part of happysock.c. */

#include <sys/epoll.h>

struct native_lookup {
    happy_lookup *handle;            /* NULL before initialize */
    struct addrinfo *list;           /* the answer, once it was taken */
    int status;                      /* 0, or the error of the answer, once it was taken */
    int sys_errno;
    bool taken;
    VALUE host, service, timeout;    /* for exceptions */
};

static void
native_lookup_mark(void *pointer)
{
    struct native_lookup *lookup = pointer;

    rb_gc_mark(lookup->host);
    rb_gc_mark(lookup->service);
    rb_gc_mark(lookup->timeout);
}

static void
native_lookup_free(void *pointer)
{
    struct native_lookup *lookup = pointer;

    happy_lookup_unref(lookup->handle);
    if (lookup->list) freeaddrinfo(lookup->list);
    xfree(lookup);
}

static const rb_data_type_t native_lookup_type = {
    .wrap_struct_name = "HappySock::Lookup",
    .function = { .dmark = native_lookup_mark, .dfree = native_lookup_free },
    .flags = RUBY_TYPED_FREE_IMMEDIATELY,
};

static VALUE
native_lookup_alloc(VALUE klass)
{
    struct native_lookup *lookup;
    VALUE self = TypedData_Make_Struct(klass, struct native_lookup, &native_lookup_type, lookup);

    lookup->host = lookup->service = lookup->timeout = Qnil;
    return self;
}

static struct native_lookup *
native_lookup_get(VALUE self)
{
    struct native_lookup *lookup = rb_check_typeddata(self, &native_lookup_type);

    if (!lookup->handle) rb_raise(rb_eRuntimeError, "the lookup was not initialized");
    return lookup;
}

/* start(host, service, family, socktype, protocol, flags, timeout): begins, and asks for numbers only. */
static VALUE
native_lookup_start(VALUE self, VALUE host, VALUE service, VALUE family, VALUE socktype, VALUE protocol, VALUE flags,
                    VALUE timeout)
{
    struct native_lookup *lookup = rb_check_typeddata(self, &native_lookup_type);
    char host_buffer[NI_MAXHOST], service_buffer[NI_MAXSERV];
    struct addrinfo hints = {
        .ai_family = NUM2INT(family), .ai_socktype = NUM2INT(socktype),
        .ai_protocol = NUM2INT(protocol), .ai_flags = NUM2INT(flags),
    };
    const char *host_text = happy_ruby_host(host, host_buffer, sizeof(host_buffer));
    const char *service_text = happy_ruby_service(service, service_buffer, sizeof(service_buffer), &hints.ai_flags);
    int32_t timeout_ms = happy_ruby_milliseconds(timeout);

    if (lookup->handle) rb_raise(rb_eRuntimeError, "the lookup was initialized before");
    if (happy_lookup_new(host_text, service_text, &hints, timeout_ms, &lookup->handle) != HAPPY_OK) rb_memerror();
    lookup->host = host;
    lookup->service = service;
    lookup->timeout = timeout;
    int status = happy_lookup_start(lookup->handle);
    if (status == HAPPY_ESYSCALL) rb_sys_fail("happy_lookup_start");
    if (status != HAPPY_OK) rb_raise(rb_eIOError, "looking up %+"PRIsVALUE" failed: %s", host, happy_status_str(status));
    return self;
}

/* Takes the answer when it is there. Raises in the child of a fork, which has no part in its parent's lookups. */
static bool
native_lookup_finished(struct native_lookup *lookup)
{
    if (lookup->taken) return true;
    int status = happy_lookup_dispatch(lookup->handle);
    if (status == HAPPY_EAGAIN) return false;
    if (status == HAPPY_OK) {
        lookup->status = happy_lookup_take_result(lookup->handle, &lookup->list);
        lookup->sys_errno = errno;
        lookup->taken = true;
        return true;
    }
    rb_raise(rb_eIOError, "looking up %+"PRIsVALUE" failed: %s", lookup->host, happy_status_str(status));
}

static int
native_lookup_descriptor(struct native_lookup *lookup)
{
    int fd = happy_lookup_get_fd(lookup->handle);

    if (fd < 0) rb_sys_fail("happy_lookup_get_fd");
    return fd;
}

/*
 * call-seq:
 *   done? -> true or false
 *
 * Whether it is answered, failed, at its limit or cancelled. Never waits.
 */
static VALUE
native_lookup_done_p(VALUE self)
{
    return native_lookup_finished(native_lookup_get(self)) ? Qtrue : Qfalse;
}

/*
 * call-seq:
 *   wait -> self
 *
 * Waits until it is done. Signals, Thread#raise, Timeout.timeout and a fiber scheduler work as with any IO; an interrupted
 * wait leaves the lookup as it is.
 */
static VALUE
native_lookup_wait(VALUE self)
{
    struct native_lookup *lookup = native_lookup_get(self);

    while (!native_lookup_finished(lookup)) {
        rb_wait_for_single_fd(native_lookup_descriptor(lookup), RB_WAITFD_IN, NULL);
    }
    return self;
}

/*
 * call-seq:
 *   cancel -> nil
 *
 * Ends it at once; #value then raises Errno::ECANCELED. From any thread, any number of times.
 */
static VALUE
native_lookup_cancel(VALUE self)
{
    happy_lookup_cancel(native_lookup_get(self)->handle);
    return Qnil;
}

/*
 * call-seq:
 *   fileno -> integer
 *
 * The descriptor that is readable when there is something to do, for a loop of the caller's, which then asks #done?. It is
 * the lookup's own: wrap it with <tt>IO.for_fd(fileno, autoclose: false)</tt>.
 */
static VALUE
native_lookup_fileno(VALUE self)
{
    return INT2NUM(native_lookup_descriptor(native_lookup_get(self)));
}

/* Waits, and answers [[sockaddr, family, socktype, protocol], ...], or raises. */
static VALUE
native_lookup_entries(VALUE self)
{
    struct native_lookup *lookup = native_lookup_get(self);

    native_lookup_wait(self);
    if (lookup->status == EAI_SYSTEM && lookup->sys_errno == ETIMEDOUT && !NIL_P(lookup->timeout)) {
        rb_exc_raise(happy_ruby_limit_error(lookup->host, lookup->service));
    }
    if (lookup->status != 0) {
        rb_exc_raise(happy_ruby_resolution_error(lookup->status, lookup->sys_errno, "getaddrinfo"));
    }
    VALUE found = rb_ary_new();
    for (const struct addrinfo *entry = lookup->list; entry; entry = entry->ai_next) {
        rb_ary_push(found, rb_ary_new_from_args(4, rb_str_new((const char *)entry->ai_addr, entry->ai_addrlen),
                                                INT2NUM(entry->ai_family), INT2NUM(entry->ai_socktype),
                                                INT2NUM(entry->ai_protocol)));
    }
    RB_GC_GUARD(self);
    return found;
}

struct native_lookup_set {
    VALUE lookups;                   /* an array of Lookup */
    int fd;                          /* an epoll set of their descriptors */
};

static VALUE
native_lookup_set_wait(VALUE argument)
{
    struct native_lookup_set *set = (struct native_lookup_set *)argument;

    for (long i = 0; i < RARRAY_LEN(set->lookups); i++) {
        struct native_lookup *lookup = native_lookup_get(RARRAY_AREF(set->lookups, i));
        struct epoll_event event = { .events = EPOLLIN };
        if (epoll_ctl(set->fd, EPOLL_CTL_ADD, native_lookup_descriptor(lookup), &event) < 0) rb_sys_fail("epoll_ctl(2)");
    }
    for (;;) {
        for (long i = 0; i < RARRAY_LEN(set->lookups); i++) {
            VALUE lookup = RARRAY_AREF(set->lookups, i);
            if (native_lookup_finished(native_lookup_get(lookup))) return lookup;
        }
        rb_wait_for_single_fd(set->fd, RB_WAITFD_IN, NULL);
    }
}

static VALUE
native_lookup_set_close(VALUE argument)
{
    close(((struct native_lookup_set *)argument)->fd);
    return Qnil;
}

/*
 * call-seq:
 *   wait_any(lookups) -> lookup
 *
 * Waits until one of +lookups+ is done, and returns it; of several that are, the first.
 */
static VALUE
native_lookup_s_wait_any(VALUE klass, VALUE lookups)
{
    struct native_lookup_set set = { .lookups = rb_ary_dup(rb_Array(lookups)) };

    if (RARRAY_LEN(set.lookups) == 0) rb_raise(rb_eArgError, "there are no lookups to wait for");
    set.fd = epoll_create1(EPOLL_CLOEXEC);
    if (set.fd < 0) rb_sys_fail("epoll_create1(2)");
    return rb_ensure(native_lookup_set_wait, (VALUE)&set, native_lookup_set_close, (VALUE)&set);
}

static void
native_define_lookup(VALUE outer)
{
    VALUE lookup = rb_define_class_under(outer, "Lookup", rb_cObject);

    rb_define_alloc_func(lookup, native_lookup_alloc);
    rb_define_private_method(lookup, "start", native_lookup_start, 7);
    rb_define_private_method(lookup, "entries", native_lookup_entries, 0);
    rb_define_method(lookup, "done?", native_lookup_done_p, 0);
    rb_define_method(lookup, "wait", native_lookup_wait, 0);
    rb_define_method(lookup, "cancel", native_lookup_cancel, 0);
    rb_define_method(lookup, "fileno", native_lookup_fileno, 0);
    rb_define_singleton_method(lookup, "wait_any", native_lookup_s_wait_any, 1);
}
