/* One connect in a loop of poll(2): one descriptor, timers included.
 *
 * shows: happy_connect happy_connect_new happy_connect_get_fd happy_connect_get_timeout_ms happy_connect_dispatch
 * shows: happy_connect_take_result happy_connect_free
 * run: half.test PORT
 * prints: connected to 203.0.113.1:PORT
 */
#include <happysock.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_connect *connect = NULL;
    happy_result result = HAPPY_RESULT_INIT;
    char message[256];
    if (argc != 3)
        return 2;
    if (happy_connect_new(argv[1], argv[2], NULL, &connect, &result) ==
        HAPPY_OK) {
        struct pollfd watched = {happy_connect_get_fd(connect), POLLIN, 0};
        while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
            /* -1 would do as well: the descriptor is readable when a timer is
             * due. */
            poll(&watched, 1, happy_connect_get_timeout_ms(connect));
        }
        int fd = happy_connect_take_result(connect, &result);
        if (fd >= 0)
            close(fd);
    }
    happy_connect_free(connect);
    happy_result_message(&result, message, sizeof message);
    printf("%s\n", message);
    return result.status == HAPPY_OK ? 0 : 1;
}
