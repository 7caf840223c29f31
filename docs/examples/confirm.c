/* Only a server that greets is a success: one that takes the connection and ends it without a word has failed, and
 * the next address gets its turn. A TLS handshake is driven in the same way.
 *
 * shows: happy_connect_confirm happy_release_socket_fn
 * run: dual.test PORT
 * prints: rejected: 2 of 2
 */
#include <happysock.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* The sockets that are held. */
static struct pollfd held[16];
static nfds_t count;

static int confirm(int fd, const struct sockaddr *address,
                   socklen_t address_length, void *userdata)
{
    (void)address, (void)address_length, (void)userdata;
    if (count == 16)
        return HAPPY_CONFIRM_NO;
    held[count++] = (struct pollfd){fd, POLLIN, 0};
    return HAPPY_CONFIRM_LATER;
}

static void forget(int fd, void *userdata)
{
    (void)userdata;
    for (nfds_t i = 0; i < count; i++)
        if (held[i].fd == fd)
            held[i--] = held[--count];
}

int main(int argc, char **argv)
{
    happy_connect *connect = NULL;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    int rejected = 0;
    options.confirm = confirm;
    options.release_socket = forget;
    if (argc != 3 || happy_connect_new(argv[1], argv[2], &options, &connect,
                                       &result) != HAPPY_OK)
        return 2;
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
        struct pollfd watched[17];
        nfds_t watching = count;
        for (nfds_t i = 0; i < watching; i++)
            watched[i] = held[i];
        watched[watching].fd = happy_connect_get_fd(connect);
        watched[watching].events = POLLIN;
        if (poll(watched, watching + 1, -1) < 0)
            continue;
        for (nfds_t i = 0; i < watching; i++) {
            char greeting[64];
            if (watched[i].revents == 0)
                continue;
            int greets = read(watched[i].fd, greeting, sizeof greeting) > 0;
            rejected += !greets;
            forget(watched[i].fd, NULL);
            happy_connect_confirm(connect, watched[i].fd,
                                  greets ? HAPPY_CONFIRM_YES
                                         : HAPPY_CONFIRM_NO);
        }
    }
    int fd = happy_connect_take_result(connect, &result);
    printf("rejected: %d of %u\n", rejected, result.attempts_count);
    if (fd >= 0)
        close(fd);
    happy_connect_free(connect);
    return 0;
}
