/*
 * The lookup of test_mode_settings, and what the library's callbacks need. The library calls it on its worker threads,
 * without the GVL and with all signals blocked: it touches C memory alone.
 */

static struct happy_ruby_shared *
happy_ruby_shared_new(void)
{
    struct happy_ruby_shared *shared = calloc(1, sizeof(*shared));

    if (!shared) rb_memerror();
    atomic_init(&shared->references, 1);
    return shared;
}

static void
happy_ruby_shared_unref(void *userdata)
{
    struct happy_ruby_shared *shared = userdata;

    if (!shared || atomic_fetch_sub(&shared->references, 1) != 1) return;
    free(shared->events);
    free(shared);
}

/* An entry of test_mode_settings: a delay in milliseconds or an EAI code, 0 where there is none. */
static int
happy_ruby_test_setting(VALUE settings, const char *kind, const char *family)
{
    VALUE by_family = rb_hash_aref(settings, ID2SYM(rb_intern(kind)));
    if (!RB_TYPE_P(by_family, T_HASH)) return 0;
    VALUE setting = rb_hash_aref(by_family, ID2SYM(rb_intern(family)));
    return NIL_P(setting) ? 0 : NUM2INT(setting);
}

static void
happy_ruby_read_test_mode(struct happy_ruby_shared *shared, VALUE settings)
{
    static const char *const families[2] = { "ipv6", "ipv4" };

    for (int i = 0; i < 2; i++) {
        shared->delay_ms[i] = happy_ruby_test_setting(settings, "delay", families[i]);
        shared->error[i] = happy_ruby_test_setting(settings, "error", families[i]);
    }
}

/* test_mode_settings: the answer of one family comes late or is an error. */
static int
happy_ruby_test_lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_res,
                       void *userdata)
{
    const struct happy_ruby_shared *shared = userdata;
    int family = hints->ai_family == AF_INET6 ? 0 : 1;

    if (hints->ai_family != AF_UNSPEC) {
        int delay_ms = shared->delay_ms[family];
        struct timespec left = { delay_ms / 1000, delay_ms % 1000 * 1000000L };
        while ((left.tv_sec > 0 || left.tv_nsec > 0) && nanosleep(&left, &left) != 0 && errno == EINTR) continue;
        if (shared->error[family]) return shared->error[family];
    }
    return getaddrinfo(node, service, hints, ret_res);
}
