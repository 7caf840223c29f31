/* From Ruby's arguments to the library's: hosts, ports and limits. Raises as the socket library does. */

static bool
happy_ruby_equal(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/*
 * A host for getaddrinfo(3), in `buffer` or NULL for nil. An Integer is an IPv4 address, and "", "<any>" and
 * "<broadcast>" stand for addresses, as everywhere in Ruby's socket library.
 */
static const char *
happy_ruby_host(VALUE host, char *buffer, size_t size)
{
    if (NIL_P(host)) return NULL;

    if (RB_INTEGER_TYPE_P(host)) {
        struct in_addr address = { htonl(NUM2UINT(host)) };
        return inet_ntop(AF_INET, &address, buffer, (socklen_t)size);
    }

    const char *text = StringValueCStr(host);
    size_t length = RSTRING_LEN(host);
    if (length == 0 || happy_ruby_equal(text, length, "<any>")) {
        text = "0.0.0.0";
        length = strlen(text);
    }
    else if (happy_ruby_equal(text, length, "<broadcast>")) {
        text = "255.255.255.255";
        length = strlen(text);
    }
    if (length >= size) rb_raise(rb_eArgError, "hostname too long (%"PRIuSIZE")", length);
    memcpy(buffer, text, length + 1);
    return buffer;
}

/* Where a number begins, past the blanks and the plus that strtoul(3), and so libc, allows before it; else `text`. */
static const char *
happy_ruby_number(const char *text)
{
    const char *number = text + strspn(text, " \t\n\v\f\r");

    if (*number == '+') number++;
    return *number && strspn(number, "0123456789") == strlen(number) ? number : text;
}

/* A port or service for getaddrinfo(3), in `buffer` or NULL for nil. An Integer is never looked up as a name. */
static const char *
happy_ruby_service(VALUE service, char *buffer, size_t size, int *lookup_flags)
{
    if (NIL_P(service)) return NULL;

    if (FIXNUM_P(service)) {
        snprintf(buffer, size, "%ld", FIX2LONG(service));
        *lookup_flags |= AI_NUMERICSERV;
        return buffer;
    }

    const char *text = StringValueCStr(service);
    size_t length = RSTRING_LEN(service);
    if (length >= size) rb_raise(rb_eArgError, "service name too long (%"PRIuSIZE")", length);
    text = happy_ruby_number(text);
    memcpy(buffer, text, strlen(text) + 1);
    return buffer;
}

/* A limit in milliseconds, rounded up so that a limit is never over early; -1 for nil. */
static int32_t
happy_ruby_milliseconds(VALUE seconds)
{
    if (NIL_P(seconds)) return -1;

    struct timeval interval = rb_time_interval(seconds);
    if (interval.tv_sec >= INT32_MAX / 1000) return INT32_MAX;
    return (int32_t)(interval.tv_sec * 1000 + (interval.tv_usec + 999) / 1000);
}

/*
 * `resolv_timeout` as a limit. Before 3.4 the socket library looks at it nowhere: there it is kept like any limit, and
 * what cannot be one is passed over. Socket.tcp adds it to the time of day, and Infinity never comes.
 */
static VALUE
happy_ruby_resolv_timeout(const struct happy_ruby_request *request)
{
    VALUE seconds = request->resolv_timeout;

    if (NIL_P(seconds)) return Qnil;
    if (HAPPY_RUBY_VERSION >= 304) {
        bool forever = request->socket_tcp && RB_FLOAT_TYPE_P(seconds) && isinf(RFLOAT_VALUE(seconds)) > 0;
        return forever ? Qnil : seconds;
    }
    if (!RB_INTEGER_TYPE_P(seconds) && !RB_FLOAT_TYPE_P(seconds) && !RB_TYPE_P(seconds, T_RATIONAL)) return Qnil;
    double number = NUM2DBL(seconds);
    return number >= 0 && number < INT32_MAX ? seconds : Qnil;
}

/* An IPv6 literal with a scope, such as fe80::1%eth0. Only libc knows whether the scope exists. */
static bool
happy_ruby_scoped_literal_p(const char *host)
{
    struct in6_addr address;
    char literal[INET6_ADDRSTRLEN];
    const char *scope = host ? strchr(host, '%') : NULL;

    if (!scope || (size_t)(scope - host) >= sizeof(literal)) return false;
    memcpy(literal, host, scope - host);
    literal[scope - host] = '\0';
    return inet_pton(AF_INET6, literal, &address) == 1;
}

/* The family of an IP literal; AF_UNSPEC for a name and for NULL. */
static int
happy_ruby_literal_family(const char *host)
{
    struct in6_addr address;

    if (host && inet_pton(AF_INET6, host, &address) == 1) return AF_INET6;
    if (host && inet_pton(AF_INET, host, &address) == 1) return AF_INET;
    return AF_UNSPEC;
}
