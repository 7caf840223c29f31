/* Many connects in a loop of io_uring: the ring polls the one descriptor.
 *
 * run: PORT dual.test four.test half.test
 * prints: 3 of 3 connected
 * or-skipped: io_uring_queue_init: Operation not permitted
 * or-skipped: io_uring_queue_init: Function not implemented
 */
#include <happysock.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int connected;

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
    struct io_uring ring;
    int running = 1;
    if (argc < 3 || happy_multi_new(&multi) != HAPPY_OK)
        return 2;
    int failed = io_uring_queue_init(8, &ring, 0);
    if (failed != 0) {
        printf("io_uring_queue_init: %s\n", strerror(-failed));
        happy_multi_free(multi);
        return 1;
    }
    for (int i = 2; i < argc; i++)
        happy_multi_add(multi, argv[i], argv[1], NULL, done, NULL, NULL,
                        NULL);
    while (running > 0) {
        /* One shot: armed again for each turn, beside the program's own. */
        struct io_uring_cqe *completion;
        struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
        io_uring_prep_poll_add(entry, happy_multi_get_fd(multi), POLLIN);
        io_uring_submit(&ring);
        if (io_uring_wait_cqe(&ring, &completion) != 0)
            break;
        io_uring_cqe_seen(&ring, completion);
        if (happy_multi_dispatch(multi, &running) != HAPPY_OK)
            break;
    }
    io_uring_queue_exit(&ring);
    happy_multi_free(multi);
    printf("%d of %d connected\n", connected, argc - 2);
    return 0;
}
