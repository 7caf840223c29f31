/* Many connects on one thread, by one descriptor.
 *
 * shows: happy_multi happy_multi_new happy_multi_add happy_multi_get_fd happy_multi_get_timeout_ms
 * shows: happy_multi_dispatch happy_multi_free happy_done_fn
 * run: PORT dual.test four.test half.test
 * prints: 3 of 3 connected
 */
#include <happysock.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static void done(happy_multi *multi, uint64_t id, const happy_result *result,
                 void *userdata)
{
    int *connected = userdata;
    (void)multi, (void)id;
    if (result->status == HAPPY_OK) {
        ++*connected;
        /* Here a program would begin to talk. */
        close(result->fd);
    }
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    happy_options options = HAPPY_OPTIONS_INIT;
    int connected = 0, running = 1;
    options.open_timeout_ms = 5000;
    if (argc < 3 || happy_multi_new(&multi) != HAPPY_OK)
        return 2;
    for (int i = 2; i < argc; i++) {
        if (happy_multi_add(multi, argv[i], argv[1], &options, done, NULL,
                            NULL, &connected) != HAPPY_OK)
            fprintf(stderr, "%s: %s\n", argv[i], happy_error_message());
    }
    struct pollfd watched = {happy_multi_get_fd(multi), POLLIN, 0};
    while (running > 0) {
        /* -1 would do as well: the descriptor is readable when a timer is
         * due. */
        poll(&watched, 1, happy_multi_get_timeout_ms(multi));
        if (happy_multi_dispatch(multi, &running) != HAPPY_OK)
            break;
    }
    happy_multi_free(multi);
    printf("%d of %d connected\n", connected, argc - 2);
    return 0;
}
