/* A connection counts when its TLS handshake is done (OpenSSL): handshakes with several addresses go on at the same
 * time, the first to finish wins, and the others are cancelled. Here the first address takes the connection and never
 * answers.
 *
 * shows: happy_confirm_fn happy_release_socket_fn
 * run: dual.test TLS_PORT TLS_CERTIFICATE
 * prints: connected to 127.0.0.1:TLS_PORT
 * prints: handshakes: 2, cancelled: 1
 * prints: hello
 */
#include <happysock.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A handshake that goes on: with whom, and what it waits for. */
struct handshake {
    SSL *ssl;
    struct pollfd wait;
};

static struct handshake handshakes[16];
static nfds_t count;
static int begun, cancelled;
static SSL_CTX *context;

/* A socket is connected, and its handshake begins. */
static int confirm(int fd, const struct sockaddr *address,
                   socklen_t address_length, void *host)
{
    (void)address, (void)address_length;
    SSL *ssl = count < 16 ? SSL_new(context) : NULL;
    if (ssl == NULL || !SSL_set_fd(ssl, fd) || !SSL_set1_host(ssl, host) ||
        !SSL_set_tlsext_host_name(ssl, host)) {
        SSL_free(ssl);
        return HAPPY_CONFIRM_NO;
    }
    SSL_set_connect_state(ssl);
    handshakes[count++] = (struct handshake){ssl, {fd, POLLOUT, 0}};
    begun++;
    return HAPPY_CONFIRM_LATER;
}

/* Takes a handshake out of the list. */
static SSL *take(int fd)
{
    for (nfds_t i = 0; i < count; i++)
        if (handshakes[i].wait.fd == fd) {
            SSL *ssl = handshakes[i].ssl;
            handshakes[i] = handshakes[--count];
            return ssl;
        }
    return NULL;
}

/* Another one has won, or a limit was reached: the socket is closed next. */
static void cancel(int fd, void *host)
{
    (void)host;
    SSL_free(take(fd));
    cancelled++;
}

/* Goes on with a handshake. HAPPY_CONFIRM_LATER: it is not done yet. */
static int go_on(SSL *ssl, short *events)
{
    ERR_clear_error();
    int outcome = SSL_do_handshake(ssl);
    if (outcome == 1)
        return HAPPY_CONFIRM_YES;
    switch (SSL_get_error(ssl, outcome)) {
    case SSL_ERROR_WANT_READ: *events = POLLIN; return HAPPY_CONFIRM_LATER;
    case SSL_ERROR_WANT_WRITE: *events = POLLOUT; return HAPPY_CONFIRM_LATER;
    default: return HAPPY_CONFIRM_NO;
    }
}

/* Drives the connect and its handshakes; the TLS of the winner, or NULL. */
static SSL *secure(happy_connect *connect)
{
    SSL *winner = NULL;
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
        struct pollfd watched[17];
        nfds_t watching = count;
        for (nfds_t i = 0; i < watching; i++)
            watched[i] = handshakes[i].wait;
        watched[watching] =
            (struct pollfd){happy_connect_get_fd(connect), POLLIN, 0};
        if (poll(watched, watching + 1, -1) < 0)
            continue;
        for (nfds_t i = 0; i < watching && winner == NULL; i++) {
            int fd = watched[i].fd;
            short events = watched[i].events;
            if (watched[i].revents == 0)
                continue;
            SSL *ssl = take(fd);
            int answer = go_on(ssl, &events);
            if (answer == HAPPY_CONFIRM_LATER) {
                handshakes[count++] =
                    (struct handshake){ssl, {fd, events, 0}};
                continue;
            }
            happy_connect_confirm(connect, fd, answer);
            if (answer == HAPPY_CONFIRM_YES)
                winner = ssl;
            else
                SSL_free(ssl);
        }
    }
    return winner;
}

int main(int argc, char **argv)
{
    happy_connect *connect = NULL;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    char message[256], greeting[64];
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    if (argc != 4 || context == NULL ||
        !SSL_CTX_load_verify_locations(context, argv[3], NULL))
        return 2;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    options.confirm = confirm;
    options.release_socket = cancel;
    options.userdata = argv[1];
    if (happy_connect_new(argv[1], argv[2], &options, &connect, &result) !=
        HAPPY_OK)
        return 2;
    SSL *ssl = secure(connect);
    int fd = happy_connect_take_result(connect, &result);
    happy_result_message(&result, message, sizeof message);
    printf("%s\nhandshakes: %d, cancelled: %d\n", message, begun, cancelled);
    /* The socket blocks from here on. */
    int length = ssl == NULL ? 0 : SSL_read(ssl, greeting, sizeof greeting);
    if (length > 0)
        printf("%.*s\n", length, greeting);
    SSL_free(ssl);
    if (fd >= 0)
        close(fd);
    happy_connect_free(connect);
    SSL_CTX_free(context);
    return fd >= 0 ? 0 : 1;
}
