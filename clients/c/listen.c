/*
 * Prints what a daemon sends, a line for each frame and hand:
 *   listen PORT                    packets that the daemon's configuration sends to this port
 *   listen HOST:CONTROL_PORT       subscribes there, and renews that for as long as it runs
 *   listen --key FILE HOST:PORT    the same with a key; only the stream of a daemon that answers is shown
 * Options: --count N ends after N packets. POSIX: cc -std=c99 listen.c -o listen
 */
#define _POSIX_C_SOURCE 200809L
#include "handmap.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ASK_NS = 500000000, LEASE_S = 10 };

/* What is known of the daemon that was asked for packets. */
typedef struct subscription {
    struct sockaddr_storage address; /* of its control port */
    socklen_t address_bytes;         /* 0: nobody is asked, packets come by themselves */
    uint64_t nonce;
    uint8_t token[16];
    int64_t next_ns; /* when to ask next */
} subscription;

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "listen: %s: %s\n", what, why);
    return 1;
}

static uint64_t random_nonce(void)
{
    uint64_t nonce = (uint64_t)monotonic_ns();
    FILE *random = fopen("/dev/urandom", "rb");
    if (random != NULL) {
        if (fread(&nonce, sizeof nonce, 1, random) != 1) nonce ^= (uint64_t)getpid() << 40;
        fclose(random);
    }
    return nonce;
}

static bool read_keys(const char *path, handmap_keys *keys)
{
    char line[200];
    FILE *file = fopen(path, "r");
    bool is_good = file != NULL;
    while (is_good && fgets(line, sizeof line, file) != NULL)
        if (line[0] != '#' && line[0] != '\n') is_good = handmap_add_key(keys, line) == HANDMAP_OK;
    if (file != NULL) fclose(file);
    return is_good && keys->count > 0;
}

/* A socket bound to the port of this machine, or one to talk to the host from; -1 with *why. */
static int open_socket(const char *host, const char *port, subscription *daemon, const char **why)
{
    struct addrinfo hints, *found = NULL;
    int out, failed;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = host == NULL ? AF_INET : AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = host == NULL ? AI_PASSIVE : 0;
    failed = getaddrinfo(host, port, &hints, &found);
    if (failed) {
        *why = gai_strerror(failed);
        return -1;
    }
    out = socket(found->ai_family, SOCK_DGRAM, 0);
    *why = "the port cannot be opened";
    if (out >= 0 && host == NULL && bind(out, found->ai_addr, found->ai_addrlen) != 0) {
        close(out);
        out = -1;
    }
    if (host != NULL) {
        memcpy(&daemon->address, found->ai_addr, found->ai_addrlen);
        daemon->address_bytes = found->ai_addrlen;
    }
    freeaddrinfo(found);
    return out;
}

static void ask(int out, subscription *daemon, const handmap_keys *keys, uint8_t message_type)
{
    uint8_t data[HANDMAP_MAX_BYTES];
    size_t size;
    handmap_control request;
    daemon->nonce = random_nonce();
    handmap_control_init(&request, message_type, daemon->nonce);
    request.client_ns = monotonic_ns();
    if (message_type == HANDMAP_SUBSCRIBE) {
        memcpy(request.token, daemon->token, sizeof request.token);
        request.lease_s = LEASE_S;
    }
    if (handmap_encode_control(&request, keys, data, sizeof data, &size) != HANDMAP_OK) return;
    if (sendto(out, data, size, 0, (struct sockaddr *)&daemon->address, daemon->address_bytes) < 0)
        perror("listen: the daemon cannot be asked");
}

/* PONG: subscribe with its token. SUBSCRIBED: ping again at a third of the lease. */
static void take_answer(int out, subscription *daemon, const handmap_keys *keys, const handmap_control *answer,
                        handmap_streams *streams)
{
    int64_t now_ns = monotonic_ns();
    if (answer->nonce != daemon->nonce) return; /* an old answer, or somebody else's */
    if (answer->message_type == HANDMAP_PONG) {
        handmap_streams_prove(streams, answer->stream_id);
        memcpy(daemon->token, answer->token, sizeof daemon->token);
        ask(out, daemon, keys, HANDMAP_SUBSCRIBE);
        daemon->next_ns = now_ns + ASK_NS;
    } else if (answer->message_type == HANDMAP_SUBSCRIBED && answer->status == HANDMAP_DONE) {
        daemon->next_ns = now_ns + answer->lease_s * (int64_t)1000000000 / 3;
    } else if (answer->message_type == HANDMAP_SUBSCRIBED && answer->status == HANDMAP_FULL) {
        fprintf(stderr, "listen: the daemon has as many subscribers as it takes; asking again\n");
    }
}

static const char *state_name(uint8_t state)
{
    static const char *const names[] = { "starting", "no camera", "no hand", "tracking", "degraded", "stopping" };
    return state <= HANDMAP_STOPPING ? names[state] : "unknown state";
}

static void print_packet(const handmap_packet *packet, const handmap_order *order)
{
    int i;
    if (order->is_restart) printf("-- the daemon was started again\n");
    if (order->lost_before) printf("-- %lu packets lost\n", (unsigned long)order->lost_before);
    if (packet->message_type == HANDMAP_HEARTBEAT) printf("heartbeat: %s\n", state_name(packet->state));
    else printf("frame %lu: %s, ", (unsigned long)packet->frame_number, state_name(packet->state));
    if (packet->message_type != HANDMAP_HEARTBEAT) printf("hands %d\n", packet->hand_count);
    for (i = 0; i < packet->hand_count; i++) {
        const handmap_hand *hand = &packet->hands[i];
        static const char *const sides[] = { "a hand", "left", "right" };
        printf("  %s, track %lu, ", sides[hand->handedness], (unsigned long)hand->track_id);
        printf("wrist %.3f %.3f %.3f m, confidence %.2f%s\n",
               hand->xyz_m[0][0], hand->xyz_m[0][1], hand->xyz_m[0][2], hand->confidence,
               hand->flags & HANDMAP_VALID ? "" : ", not valid");
    }
    fflush(stdout);
}

static int usage(void)
{
    fprintf(stderr, "usage: listen [--key FILE] [--count N] PORT or HOST:CONTROL_PORT\n");
    return 64;
}

int main(int count, char **arguments)
{
    static uint8_t data[HANDMAP_MAX_BYTES + 1]; /* so that a longer datagram is seen to be too long */
    static handmap_packet packet;
    static handmap_keys keys;
    static subscription daemon;
    handmap_streams streams;
    const handmap_keys *with = NULL;
    const char *why = "";
    char *target = NULL, *colon, *end;
    long wanted = -1, port;
    int in, i;
    int64_t heard_ns = monotonic_ns();
    for (i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--key") == 0 && i + 1 < count) {
            if (!read_keys(arguments[++i], &keys)) return fail(arguments[i], "wanted lines of 64 hexadecimal digits");
            with = &keys;
        } else if (strcmp(arguments[i], "--count") == 0 && i + 1 < count) {
            wanted = strtol(arguments[++i], NULL, 10);
        } else if (target == NULL) {
            target = arguments[i];
        } else {
            return usage();
        }
    }
    if (target == NULL) return usage();
    colon = strrchr(target, ':');
    if (colon == NULL && with != NULL) return fail(target, "a key needs HOST:CONTROL_PORT, to ask who is there");
    port = strtol(colon != NULL ? colon + 1 : target, &end, 10);
    if (*end != '\0' || port < 1 || port > 65535) return fail(target, "wanted a port from 1 to 65535");
    if (colon != NULL) *colon = '\0';
    in = open_socket(colon != NULL ? target : NULL, colon != NULL ? colon + 1 : target, &daemon, &why);
    if (in < 0) return fail(target, why);
    handmap_streams_init(&streams, with != NULL);
    while (wanted != 0) {
        struct pollfd readable = { 0, POLLIN, 0 };
        handmap_control answer;
        handmap_order order;
        handmap_error error;
        ssize_t size;
        int64_t now_ns = monotonic_ns();
        if (daemon.address_bytes > 0 && now_ns >= daemon.next_ns) {
            ask(in, &daemon, with, HANDMAP_PING);
            daemon.next_ns = now_ns + ASK_NS;
        }
        if (now_ns - heard_ns > HANDMAP_SILENCE_NS) {
            fprintf(stderr, "listen: silence for 1.5 s; is the daemon running?\n");
            heard_ns = now_ns;
        }
        readable.fd = in;
        if (poll(&readable, 1, 100) <= 0) continue;
        size = recv(in, data, sizeof data, 0);
        if (size < 0) continue;
        if (handmap_is_control(data, (size_t)size)) {
            error = handmap_decode_control(data, (size_t)size, with, &answer);
            if (error == HANDMAP_OK) take_answer(in, &daemon, with, &answer, &streams);
        } else {
            error = handmap_decode(data, (size_t)size, with, &packet);
            if (error == HANDMAP_OK) {
                order = handmap_streams_take(&streams, &packet, monotonic_ns());
                if (!order.is_accepted) continue;
                print_packet(&packet, &order);
                heard_ns = monotonic_ns();
                if (wanted > 0) wanted--;
            }
        }
        if (error != HANDMAP_OK) fprintf(stderr, "listen: refused: %s\n", handmap_error_text(error));
    }
    close(in);
    return 0;
}
