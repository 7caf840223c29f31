/* Asks libc, or the library, for the addresses of a host, in every way that lab differential compares. Each
 * question is asked in a process of its own: what libc reads once for a process is read anew, and what one call
 * leaves behind (errno, h_errno) does not show in the answer of the next.
 *
 *   ask libc|library CHECKS NODE SERVICE [FLAGS FAMILY SOCKTYPE PROTOCOL]
 *
 * CHECKS is made of the letters l (lookup), f (family) and c (connect). NODE and SERVICE are "-" for NULL, else
 * ":" and the text. Without the last four there are no hints. It prints a line for each answer, made of words:
 *
 *   QUESTION CODE ERRNO ITEM...
 *
 * and after it, where the library has asked libc for it, "libc-QUESTION 0 0".
 * CODE is 0 or an error; ERRNO is 0 but with EAI_SYSTEM; an ITEM is an address, or of an addrinfo
 * FLAGS/FAMILY/SOCKTYPE/PROTOCOL/ADDRESS/PORT/SCOPE/CANONNAME, with the bytes of the name in hexadecimal. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <happysock.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than any case may take; a process that hangs ends by SIGALRM. */
#define LIMIT_SECONDS 120
/* Nobody listens there: every attempt fails, so that every address is attempted. */
#define PORT "9"
/* Addresses of one answer. A message of 64 KiB holds fewer. */
#define MAX_ITEMS 8192

struct asked {
    const char *node;
    const char *service;
    const struct addrinfo *hints;
};

/* Whether this is the process that asks the next question. The other one waits until it has answered. */
static int asking(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        /* The limit is not inherited. */
        alarm(LIMIT_SECONDS);
        return 1;
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("ask: fork");
        exit(1);
    }
    if (WIFSIGNALED(status)) {
        /* Ends as the child did, but for the core. */
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    if (WEXITSTATUS(status) != 0)
        exit(1);
    return 0;
}

static void answered(void)
{
    exit(fflush(stdout) == 0 ? 0 : 1);
}

static void begin(const char *question, int code, int error)
{
    printf("%s %d %d", question, code, error);
}

static void print_address(int family, const void *address)
{
    char text[INET6_ADDRSTRLEN];
    fputs(inet_ntop(family, address, text, sizeof text) != NULL ? text : "?", stdout);
}

/* The address within a sockaddr of the internet families. */
static const void *address_of(const struct sockaddr *address)
{
    const void *any = address;
    if (address->sa_family == AF_INET6)
        return &((const struct sockaddr_in6 *)any)->sin6_addr;
    return &((const struct sockaddr_in *)any)->sin_addr;
}

static void print_node(const struct addrinfo *node)
{
    printf(" 0x%x/%d/%d/%d/", (unsigned)node->ai_flags, node->ai_family, node->ai_socktype, node->ai_protocol);
    print_address(node->ai_family, address_of(node->ai_addr));
    if (node->ai_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)node->ai_addr;
        printf("/%d/%u/", ntohs(address->sin6_port), (unsigned)address->sin6_scope_id);
    } else {
        printf("/%d/0/", ntohs(((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_port));
    }
    if (node->ai_canonname == NULL)
        putchar('-');
    for (const unsigned char *byte = (const void *)node->ai_canonname; byte != NULL && *byte != 0; byte++)
        printf("%02x", *byte);
}

/* An answer of getaddrinfo(3), or of what stands in for it. */
static void print_lookup(const char *question, int code, int error, struct addrinfo *list)
{
    begin(question, code, code == EAI_SYSTEM ? error : 0);
    if (code == 0) {
        for (const struct addrinfo *node = list; node != NULL; node = node->ai_next)
            print_node(node);
        freeaddrinfo(list);
    }
    putchar('\n');
}

/* ---- libc ---------------------------------------------------------------------------------------------- */

static void ask_getaddrinfo(const char *question, const char *node, const char *service, const struct addrinfo *hints)
{
    struct addrinfo *list = NULL;
    if (!asking())
        return;
    errno = 0;
    int code = getaddrinfo(node, service, hints, &list);
    print_lookup(question, code, errno, list);
    answered();
}

static void ask_gethostbyname(const char *question, const char *node, int family)
{
    static char buffer[1 << 20];
    struct hostent host;
    struct hostent *result = NULL;
    int host_error = 0;
    /* The loopback is getaddrinfo(3)'s own idea. */
    if (node == NULL || !asking())
        return;
    errno = 0;
    int failure = gethostbyname2_r(node, family, &host, buffer, sizeof buffer, &result, &host_error);
    if (result == NULL) {
        begin(question, host_error == 0 ? NO_RECOVERY : host_error, host_error == NETDB_INTERNAL ? failure : 0);
    } else {
        begin(question, 0, 0);
        for (char **place = result->h_addr_list; *place != NULL; place++) {
            putchar(' ');
            print_address(result->h_addrtype, *place);
        }
    }
    putchar('\n');
    answered();
}

static void ask_libc(const char *checks, const struct asked *asked)
{
    struct addrinfo stream = {.ai_socktype = SOCK_STREAM};
    if (strchr(checks, 'l') != NULL)
        ask_getaddrinfo("lookup", asked->node, asked->service, asked->hints);
    if (strchr(checks, 'f') != NULL) {
        stream.ai_family = AF_INET;
        ask_getaddrinfo("getaddrinfo-4", asked->node, PORT, &stream);
        ask_gethostbyname("gethostbyname-4", asked->node, AF_INET);
        stream.ai_family = AF_INET6;
        ask_getaddrinfo("getaddrinfo-6", asked->node, PORT, &stream);
        ask_gethostbyname("gethostbyname-6", asked->node, AF_INET6);
    }
    if (strchr(checks, 'c') != NULL) {
        stream.ai_family = AF_UNSPEC;
        ask_getaddrinfo("getaddrinfo-both", asked->node, PORT, &stream);
    }
}

/* Who was asked, where that was libc. */
static void print_source(const char *question, const char *source)
{
    if (source != NULL && strcmp(source, "libc") == 0)
        printf("libc-%s 0 0\n", question);
}

/* ---- The library --------------------------------------------------------------------------------------- */

static void ask_blocking(const struct asked *asked)
{
    struct addrinfo *list = NULL;
    if (!asking())
        return;
    errno = 0;
    int code = rb_getaddrinfo_happy(asked->node, asked->service, asked->hints, &list, -1);
    print_lookup("blocking", code, errno, list);
    answered();
}

static void ask_object(const struct asked *asked)
{
    if (!asking())
        return;
    happy_lookup *lookup;
    int status = happy_lookup_new(asked->node, asked->service, asked->hints, -1, &lookup);
    if (status == HAPPY_OK)
        status = happy_lookup_start(lookup);
    if (status == HAPPY_OK)
        status = happy_lookup_wait(lookup);
    if (status != HAPPY_OK) {
        fprintf(stderr, "ask: happy_lookup: %s\n", happy_error_message());
        exit(1);
    }
    struct addrinfo *list = NULL;
    errno = 0;
    int code = happy_lookup_take_result(lookup, &list);
    print_lookup("object", code, errno, list);
    print_source("object", happy_lookup_get_source(lookup));
    happy_lookup_unref(lookup);
    answered();
}

/* The addresses that a race has known or attempted. */
struct addresses {
    size_t count;
    struct {
        int family;
        unsigned char bytes[16];
    } items[MAX_ITEMS];
};

static void note_address(const happy_trace_event *event, void *userdata)
{
    struct addresses *addresses = userdata;
    if (event->kind != HAPPY_TRACE_CANDIDATE_ADDED && event->kind != HAPPY_TRACE_ATTEMPT_STARTED)
        return;
    int family = event->address->sa_family;
    size_t length = family == AF_INET6 ? 16 : 4;
    const void *address = address_of(event->address);
    for (size_t index = 0; index < addresses->count; index++)
        if (addresses->items[index].family == family && memcmp(addresses->items[index].bytes, address, length) == 0)
            return;
    if (addresses->count == MAX_ITEMS) {
        fputs("ask: more addresses than a message can hold\n", stderr);
        exit(1);
    }
    addresses->items[addresses->count].family = family;
    memcpy(addresses->items[addresses->count].bytes, address, length);
    addresses->count++;
}

static void ask_connect(const char *question, const char *node, int family)
{
    static struct addresses addresses;
    if (!asking())
        return;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    options.family = family;
    options.connection_attempt_delay_ms = 10;
    options.trace = note_address;
    options.userdata = &addresses;
    int fd = init_inetsock_happy(node, PORT, &options, &result);
    if (fd >= 0) {
        close(fd);
        fputs("ask: somebody listens on port " PORT "\n", stderr);
        exit(1);
    }
    /* A race that had addresses has failed at the last of them: that is not what is asked here. */
    int code = result.gai_error != 0 ? result.gai_error : addresses.count > 0 ? 0 : result.status;
    begin(question, code, code == EAI_SYSTEM ? result.sys_errno : 0);
    for (size_t index = 0; index < addresses.count; index++) {
        putchar(' ');
        print_address(addresses.items[index].family, addresses.items[index].bytes);
    }
    putchar('\n');
    print_source(question, result.source);
    answered();
}

static void ask_library(const char *checks, const struct asked *asked)
{
    if (strchr(checks, 'l') != NULL) {
        ask_blocking(asked);
        ask_object(asked);
    }
    if (strchr(checks, 'f') != NULL) {
        ask_connect("connect-4", asked->node, AF_INET);
        ask_connect("connect-6", asked->node, AF_INET6);
    }
    if (strchr(checks, 'c') != NULL)
        ask_connect("connect-both", asked->node, AF_UNSPEC);
}

/* -------------------------------------------------------------------------------------------------------- */

static const char *text_of(const char *argument)
{
    return argument[0] == ':' ? argument + 1 : NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 9) {
        fputs("usage: ask libc|library CHECKS NODE SERVICE [FLAGS FAMILY SOCKTYPE PROTOCOL]\n", stderr);
        return 2;
    }
    struct asked asked = {.node = text_of(argv[3]), .service = text_of(argv[4])};
    struct addrinfo hints = {0};
    if (argc == 9) {
        hints.ai_flags = atoi(argv[5]);
        hints.ai_family = atoi(argv[6]);
        hints.ai_socktype = atoi(argv[7]);
        hints.ai_protocol = atoi(argv[8]);
        asked.hints = &hints;
    }
    if (strcmp(argv[1], "libc") == 0)
        ask_libc(argv[2], &asked);
    else
        ask_library(argv[2], &asked);
    return 0;
}
