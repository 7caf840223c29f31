/*
 * The race's steps for Ruby. They happen inside the library, where nothing of Ruby may be called, so they are kept in C
 * memory and handed to the caller's tracer when the library has returned: as they happen, since with a tracer it returns
 * after each.
 */

/*
 * CRuby connects to the last address that there is, when nothing else is under way, as it connects to a literal, and its
 * exceptions name that address; where there is a race they name the host.
 */
static void
happy_ruby_count(struct happy_ruby_shared *shared, const happy_trace_event *event)
{
    if (shared->local_family != AF_UNSPEC && event->family >= 0 && event->family != shared->local_family) return;
    switch (event->kind) {
      case HAPPY_TRACE_LOOKUP_STARTED: shared->lookups_running++; break;
      case HAPPY_TRACE_LOOKUP_ANSWERED:
      case HAPPY_TRACE_LOOKUP_ABANDONED: shared->lookups_running--; break;
      case HAPPY_TRACE_CANDIDATE_ADDED: shared->candidates_left++; break;
      case HAPPY_TRACE_CANDIDATE_DROPPED: shared->candidates_left--; break;
      case HAPPY_TRACE_ATTEMPT_ENDED: shared->attempts_running--; break;
      case HAPPY_TRACE_ATTEMPT_STARTED:
        shared->candidates_left--;
        shared->attempts_running++;
        shared->alone = !shared->lookups_running && !shared->candidates_left && shared->attempts_running == 1;
        break;
      default: break;
    }
}

static void
happy_ruby_record(const happy_trace_event *event, void *userdata)
{
    struct happy_ruby_shared *shared = userdata;

    happy_ruby_count(shared, event);
    if (!shared->tracing) return;
    if (shared->events_count == shared->events_capacity) {
        size_t capacity = shared->events_capacity ? shared->events_capacity * 2 : 16;
        struct happy_ruby_event *events = realloc(shared->events, capacity * sizeof(*events));
        if (!events) return;
        shared->events = events;
        shared->events_capacity = capacity;
    }

    struct happy_ruby_event *entry = &shared->events[shared->events_count++];
    entry->event = *event;
    if (event->address && event->address_length <= sizeof(entry->address)) {
        memcpy(&entry->address, event->address, event->address_length);
    }
    else {
        entry->event.address_length = 0;
    }
    entry->event.address = NULL;
}

static VALUE
happy_ruby_trace_name(int32_t kind)
{
    static const char *const names[] = {
        [HAPPY_TRACE_LOOKUP_STARTED] = "lookup_started",
        [HAPPY_TRACE_LOOKUP_ANSWERED] = "lookup_answered",
        [HAPPY_TRACE_LOOKUP_ABANDONED] = "lookup_abandoned",
        [HAPPY_TRACE_RESOLUTION_DELAY_STARTED] = "resolution_delay_started",
        [HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED] = "resolution_delay_expired",
        [HAPPY_TRACE_CANDIDATE_ADDED] = "candidate_added",
        [HAPPY_TRACE_CANDIDATE_DROPPED] = "candidate_dropped",
        [HAPPY_TRACE_ATTEMPT_STARTED] = "attempt_started",
        [HAPPY_TRACE_ATTEMPT_ENDED] = "attempt_ended",
        [HAPPY_TRACE_ATTEMPT_HELD] = "attempt_held",
        [HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET] = "next_attempt_timer_set",
        [HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED] = "next_attempt_timer_fired",
        [HAPPY_TRACE_FINISHED] = "finished",
        [HAPPY_TRACE_LOOKUP_HASTENED] = "lookup_hastened",
        [HAPPY_TRACE_FAMILY_UNANSWERED] = "family_unanswered",
        [HAPPY_TRACE_ADDRESS_SYNTHESIZED] = "address_synthesized",
    };

    if (kind < 1 || kind >= (int32_t)(sizeof(names) / sizeof(names[0])) || !names[kind]) return ID2SYM(rb_intern("unknown"));
    return ID2SYM(rb_intern(names[kind]));
}

static VALUE
happy_ruby_family(int32_t family)
{
    switch (family) {
      case AF_INET6: return ID2SYM(rb_intern("ipv6"));
      case AF_INET: return ID2SYM(rb_intern("ipv4"));
      case AF_UNSPEC: return ID2SYM(rb_intern("any"));
      default: return Qnil;
    }
}

static void
happy_ruby_hash_put(VALUE hash, const char *key, VALUE value)
{
    if (!NIL_P(value)) rb_hash_aset(hash, ID2SYM(rb_intern(key)), value);
}

/* A Hash with what the step has to say; `time` is in seconds since the race began. */
static VALUE
happy_ruby_event_hash(const struct happy_ruby_connect *self, const struct happy_ruby_event *entry)
{
    const happy_trace_event *event = &entry->event;
    VALUE hash = rb_hash_new();

    happy_ruby_hash_put(hash, "name", happy_ruby_trace_name(event->kind));
    happy_ruby_hash_put(hash, "time", happy_ruby_seconds(event->time_ns));
    happy_ruby_hash_put(hash, "host", self->request->remote_host);
    happy_ruby_hash_put(hash, "port", self->request->remote_service);
    happy_ruby_hash_put(hash, "family", happy_ruby_family(event->family));
    if (event->attempt >= 0) happy_ruby_hash_put(hash, "attempt", INT2NUM(event->attempt));
    if (event->address_length) {
        happy_ruby_hash_put(hash, "address", happy_ruby_addrinfo(&entry->address, event->address_length));
    }
    happy_ruby_hash_put(hash, "outcome", happy_ruby_outcome(event->outcome));
    if (event->kind == HAPPY_TRACE_LOOKUP_ANSWERED) happy_ruby_hash_put(hash, "count", UINT2NUM(event->count));
    if (event->gai_error) {
        VALUE error = happy_ruby_resolution_error(event->gai_error, event->sys_errno, "getaddrinfo(3)");
        happy_ruby_hash_put(hash, "error", error);
    }
    else if (event->sys_errno) {
        happy_ruby_hash_put(hash, "error", rb_syserr_new(event->sys_errno, event->syscall));
    }
    if (event->delay_ms >= 0) happy_ruby_hash_put(hash, "delay", DBL2NUM(event->delay_ms / 1000.0));
    if (event->kind == HAPPY_TRACE_FINISHED) {
        happy_ruby_hash_put(hash, "status", rb_str_new_cstr(happy_status_str(event->status)));
    }
    return rb_hash_freeze(hash);
}

/* A tracer that raises leaves the rest undelivered. */
static void
happy_ruby_deliver_trace(const struct happy_ruby_connect *self)
{
    struct happy_ruby_shared *shared = self->owned->shared;

    for (size_t i = 0; i < shared->events_count; i++) {
        VALUE event = happy_ruby_event_hash(self, &shared->events[i]);
        rb_funcall(self->request->trace, rb_intern("call"), 1, event);
    }
    shared->events_count = 0;
}
