/* What libc makes of configuration files: for tests/dns_files_differential.rs, inside scripts/in-test-network.
 *
 * Reads cases from standard input: nsswitch.conf, hosts, host.conf, resolv.conf, and a name, each as a length of four bytes
 * in the order of this machine and its bytes. Answers each with lines of text and "end". Every case is looked up by a process of
 * its own, since libc reads some files once in the life of a process. RESOLV_HOST_CONF says where host.conf is. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* <resolv.h> names them only in newer versions. */
#ifndef RES_NOAAAA
#define RES_NOAAAA 0x08000000
#endif
#ifndef RES_TRUSTAD
#define RES_TRUSTAD 0x04000000
#endif

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* A length and its bytes, with a zero behind; NULL at the end of the input. */
static char *read_blob(uint32_t *length)
{
    if (fread(length, sizeof *length, 1, stdin) != 1)
        return NULL;
    char *bytes = malloc(*length + 1);
    if (bytes == NULL || fread(bytes, 1, *length, stdin) != *length)
        fail("input");
    bytes[*length] = '\0';
    return bytes;
}

static void write_file(const char *path, const char *bytes, uint32_t length)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
        fail(path);
}

static void print_address(int family, const void *address)
{
    char text[INET6_ADDRSTRLEN];
    printf(" %s", inet_ntop(family, address, text, sizeof text));
}

/* The addresses of one family in the order of the file. */
static void print_one_family(const char *name, int family)
{
    struct hostent host, *result = NULL;
    static char buffer[1 << 20];
    int error = 0;
    gethostbyname2_r(name, family, &host, buffer, sizeof buffer, &result, &error);
    for (char **address = result == NULL ? NULL : host.h_addr_list; address != NULL && *address != NULL; address++)
        print_address(family, *address);
    putchar('\n');
}

/* The addresses of both families; the code first. */
static void print_both_families(const char *name)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int code = getaddrinfo(name, NULL, &hints, &list);
    printf("%d", code);
    for (struct addrinfo *entry = list; code == 0 && entry != NULL; entry = entry->ai_next)
        print_address(entry->ai_family, entry->ai_family == AF_INET
                                            ? (void *)&((struct sockaddr_in *)entry->ai_addr)->sin_addr
                                            : (void *)&((struct sockaddr_in6 *)entry->ai_addr)->sin6_addr);
    putchar('\n');
}

static void print_resolver(void)
{
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0)
        fail("res_ninit");
    for (int i = 0; i < state.nscount; i++) {
        if (state.nsaddr_list[i].sin_family == 0) {
            const struct sockaddr_in6 *server = state._u._ext.nsaddrs[i];
            print_address(AF_INET6, &server->sin6_addr);
            printf("%%%u", server->sin6_scope_id);
        } else {
            print_address(AF_INET, &state.nsaddr_list[i].sin_addr);
        }
    }
    /* The list is cut to 6 domains of 256 bytes in all here; libc itself uses all of it. */
    printf("\n");
    for (int i = 0; i < MAXDNSRCH && state.dnsrch[i] != NULL; i++)
        printf("%s;", state.dnsrch[i]);
    unsigned long options = state.options;
    printf("\n%u %d %d %d%d%d%d%d%d%d%d%d\n", (unsigned)state.ndots, state.retrans, state.retry,
           (options & RES_ROTATE) != 0, (options & RES_USE_EDNS0) != 0, (options & RES_USEVC) != 0,
           (options & RES_TRUSTAD) != 0, (options & RES_NOAAAA) != 0, (options & RES_NOTLDQUERY) != 0,
           (options & RES_NORELOAD) != 0, (options & RES_SNGLKUP) != 0, (options & RES_SNGLKUPREOP) != 0);
}

int main(void)
{
    const char *host_conf = getenv("RESOLV_HOST_CONF");
    if (host_conf == NULL)
        return 2;
    const char *paths[] = {"/etc/nsswitch.conf", "/etc/hosts", host_conf, "/etc/resolv.conf"};
    for (;;) {
        uint32_t length;
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            char *bytes = read_blob(&length);
            if (bytes == NULL)
                return 0;
            write_file(paths[i], bytes, length);
            free(bytes);
        }
        char *name = read_blob(&length);
        if (name == NULL)
            fail("input");
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            /* No case comes to no end; and libc complains about host.conf. */
            alarm(20);
            if (freopen("/dev/null", "w", stderr) == NULL)
                _exit(1);
            if (*name == '\0') {
                print_resolver();
            } else {
                print_both_families(name);
                print_one_family(name, AF_INET);
                print_one_family(name, AF_INET6);
            }
            puts("end");
            exit(0);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child)
            fail("fork");
        if (status != 0)
            printf("died of %x\nend\n", (unsigned)status), fflush(stdout);
        free(name);
    }
}
