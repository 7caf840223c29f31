/* Connects with a limit of five seconds over everything, and says what was tried.
 *
 * shows: init_inetsock_happy happy_result_message happy_result_get_attempt happy_options happy_result happy_attempt
 * run: half.test PORT
 * prints: connected to 203.0.113.1:PORT
 * prints: attempt 0: abandoned
 * prints: attempt 1: connected
 */
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    happy_attempt attempts[16];
    char message[256];
    if (argc != 3)
        return 2;
    options.open_timeout_ms = 5000;
    result.attempts = attempts;
    result.attempts_capacity = 16;
    int fd = init_inetsock_happy(argv[1], argv[2], &options, &result);
    happy_result_message(&result, message, sizeof message);
    printf("%s\n", message);
    for (size_t i = 0; happy_result_get_attempt(&result, i) != NULL; i++)
        printf(
            "attempt %zu: %s\n", i,
            happy_outcome_str(happy_result_get_attempt(&result, i)->outcome));
    if (fd < 0)
        return 1;
    close(fd);
    return 0;
}
