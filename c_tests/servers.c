/* Servers that connects reach, and what each test of a connect begins and ends with. */
#define _GNU_SOURCE
#include "servers.h"
#include <string.h>
#include <unistd.h>

int servers[4], port;
static const char *const live_addresses[] = {"127.0.0.1", "::1", "203.0.113.1", "2001:db8:1::1"};
static int descriptors_before;

int start_servers(void **state)
{
    (void)state;
    for (int tries = 0; tries < 100; tries++) {
        port = 0;
        size_t made = 0;
        while (made < COUNT_OF(servers) && (servers[made] = listen_on(live_addresses[made], &port)) >= 0)
            made++;
        if (made == COUNT_OF(servers))
            return 0;
        while (made > 0)
            close(servers[--made]);
    }
    return -1;
}

int accept_from(int server)
{
    return wait_readable(server, 0) ? accept4(server, NULL, NULL, SOCK_CLOEXEC) : -1;
}

int remember_descriptors(void **state)
{
    (void)state;
    script_hold();
    descriptors_before = settled_descriptors();
    return 0;
}

int compare_descriptors(void **state)
{
    (void)state;
    script_release();
    /* What the servers have not accepted is not a descriptor of this process; it is taken off their queues
     * here. */
    for (size_t i = 0; i < COUNT_OF(servers); i++)
        for (int fd; (fd = accept_from(servers[i])) >= 0;)
            close(fd);
    /* A lookup that was not needed any more may have /etc/hosts open for a moment. */
    int after = open_descriptors();
    for (double until = now_ms() + PATIENCE_MS; after != descriptors_before && now_ms() < until;) {
        usleep(1000);
        after = open_descriptors();
    }
    if (after != descriptors_before)
        print_error("%d descriptors before the test, %d after it\n", descriptors_before, after);
    return after == descriptors_before ? 0 : -1;
}

int connect_scripted(const happy_options *options, struct roomy_result *roomy)
{
    clear_result(roomy);
    int fd = init_inetsock_happy("written.test", service(port), options, &roomy->result);
    if (fd >= 0)
        check_socket(fd, false);
    return fd;
}

double started_ms(const struct roomy_result *roomy, int attempt)
{
    return (double)roomy->attempts[attempt].started_ns / 1e6;
}
