/* Many connects that are confirmed later, each by its number and its socket.
 *
 * shows: happy_multi_confirm
 * run: dual.test four.test PORT
 * prints: 2 of 2 connected
 */
#include <happysock.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* What is kept for a connect. */
struct wish {
    uint64_t id;
    int held;
};

static int connected;

static int confirm(int fd, const struct sockaddr *address,
                   socklen_t address_length, void *userdata)
{
    struct wish *wish = userdata;
    (void)address, (void)address_length;
    /* The first one is looked at, any other has to wait for its end. */
    if (wish->held < 0)
        wish->held = fd;
    return HAPPY_CONFIRM_LATER;
}

static void forget(int fd, void *userdata)
{
    struct wish *wish = userdata;
    if (wish->held == fd)
        wish->held = -1;
}

static void done(happy_multi *multi, uint64_t id, const happy_result *result,
                 void *userdata)
{
    (void)multi, (void)id, (void)userdata;
    if (result->status == HAPPY_OK) {
        connected++;
        close(result->fd);
    }
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    happy_options options = HAPPY_OPTIONS_INIT;
    struct wish wishes[2] = {{0, -1}, {0, -1}};
    int running = 2;
    if (argc != 4 || happy_multi_new(&multi) != HAPPY_OK)
        return 2;
    options.confirm = confirm;
    options.release_socket = forget;
    for (int i = 0; i < 2; i++) {
        options.userdata = &wishes[i];
        if (happy_multi_add(multi, argv[1 + i], argv[3], &options, done,
                            &wishes[i].id, NULL, NULL) != HAPPY_OK)
            return 1;
    }
    while (running > 0 && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
        for (int i = 0; i < 2; i++) {
            int fd = wishes[i].held;
            if (fd < 0)
                continue;
            /* Whatever this program wants to know of a server; then: */
            wishes[i].held = -1;
            happy_multi_confirm(multi, wishes[i].id, fd, HAPPY_CONFIRM_YES);
            running--;
        }
    }
    happy_multi_free(multi);
    printf("%d of 2 connected\n", connected);
    return 0;
}
