/*
 * Runs clients/c/handmap.h for the tests; prints what C makes of bytes, and Python compares. Exits with 1 if a check
 * fails.
 *   check golden FILE   golden datagrams: read, written again, refused with any bit flipped or cut short
 *   check decode FILE   records of kind (P packet, C control message; p and c with the key), u16 size, datagram
 *   check state FILE HAS_KEY STALE HOLD RELAX ENGAGE
 *                       events: kind (p packet, c PONG, a asks for the hands, v proves a stream), i64 time, u16 size,
 *                       datagram
 */
#include "handmap.h"

#include <stdio.h>
#include <stdlib.h>

static handmap_keys keys;
static int failures;

static void expect(bool is_so, const char *name, const char *what)
{
    if (is_so) return;
    failures++;
    printf("%s: %s\n", name, what);
}

static void print_hex(const uint8_t *data, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++) printf("%02x", data[i]);
}

static void print_float(float value) { printf(" %08lx", (unsigned long)handmap_bits_of(value)); }

static void print_hand(const handmap_hand *hand)
{
    int i, k;
    printf(" hand %lu %d %d", (unsigned long)hand->track_id, hand->handedness, hand->flags);
    print_float(hand->handedness_confidence);
    print_float(hand->confidence);
    for (i = 0; i < HANDMAP_JOINTS; i++) {
        for (k = 0; k < 3; k++) print_float(hand->xyz_m[i][k]);
        print_float(hand->expected_error_m[i]);
    }
    if (!hand->has_skeleton) return;
    printf(" skeleton %d", hand->skeleton.is_size_held);
    for (i = 0; i < HANDMAP_TURNS; i++)
        for (k = 0; k < 4; k++) print_float(hand->skeleton.quaternions[i][k]);
    for (i = 0; i < HANDMAP_ANGLES; i++) print_float(hand->skeleton.angles_rad[i]);
    for (i = 0; i < HANDMAP_PINCHES; i++) print_float(hand->skeleton.pinch_strength[i]);
    for (i = 0; i < HANDMAP_PINCHES; i++) printf(" %d", hand->skeleton.is_pinching[i]);
    print_float(hand->skeleton.grasp_closure);
    print_float(hand->skeleton.hand_length_m);
    print_float(hand->skeleton.hand_length_error_m);
}

static void print_packet(const handmap_packet *packet)
{
    int i;
    printf("packet %d %d %d %d %d %d %d", packet->minor, packet->message_type, packet->state, packet->precision,
           packet->joint_order, packet->frame_of_reference, packet->clock);
    printf(" %d %d %d %d %d", packet->timestamp_source, packet->compatible, packet->part, packet->part_count,
           packet->control_port);
    printf(" %lu %lu %lu %lld %lld ", (unsigned long)packet->stream_id, (unsigned long)packet->sequence,
           (unsigned long)packet->frame_number, (long long)packet->capture_ns, (long long)packet->publish_ns);
    print_hex(packet->bundle_id, 8);
    for (i = 0; i < packet->hand_count; i++) print_hand(&packet->hands[i]);
}

static void print_control(const handmap_control *control)
{
    printf("control %d %d %d %lu %llu ", control->message_type, control->status, control->lease_s,
           (unsigned long)control->stream_id, (unsigned long long)control->nonce);
    print_hex(control->token, 16);
    printf(" %lld %lld %lld [", (long long)control->client_ns, (long long)control->received_ns,
           (long long)control->sent_ns);
    print_hex(control->info, control->info_bytes);
    printf("]");
}

/* The datagram is copied into memory of just its size, so that the sanitizer sees a byte read beyond it. */
static handmap_error decode_and_print(char kind, const uint8_t *data, size_t size, bool is_shown, bool *is_same)
{
    uint8_t *exact = (uint8_t *)malloc(size > 0 ? size : 1), again[HANDMAP_MAX_BYTES];
    const handmap_keys *with = kind == 'p' || kind == 'c' ? &keys : NULL;
    handmap_packet packet;
    handmap_control control;
    handmap_error error, encoded = HANDMAP_OK;
    size_t again_bytes = 0;
    bool is_packet = kind == 'P' || kind == 'p';
    memset(&packet, 0xA5, sizeof packet);
    if (size > 0) memcpy(exact, data, size);
    error = is_packet ? handmap_decode(exact, size, with, &packet)
                      : handmap_decode_control(exact, size, with, &control);
    if (error == HANDMAP_OK)
        encoded = is_packet ? handmap_encode(&packet, with, again, sizeof again, &again_bytes)
                            : handmap_encode_control(&control, with, again, sizeof again, &again_bytes);
    if (is_shown && error != HANDMAP_OK) printf("refused %d\n", error);
    if (is_shown && error == HANDMAP_OK) {
        if (is_packet) print_packet(&packet);
        else print_control(&control);
        printf(" again %d ", encoded);
        print_hex(again, again_bytes);
        printf("\n");
    }
    *is_same = error == HANDMAP_OK && again_bytes == size && memcmp(again, data, size) == 0;
    free(exact);
    return error;
}

static size_t from_hex(const char *text, uint8_t *data)
{
    size_t size = 0;
    unsigned value;
    for (; sscanf(text, "%2x", &value) == 1; text += 2) data[size++] = (uint8_t)value;
    return size;
}

static void check_golden(const char *path)
{
    static char line[2 * HANDMAP_MAX_BYTES + 200];
    FILE *file = fopen(path, "r");
    int datagrams = 0;
    long refused = 0;
    if (file == NULL) exit(2);
    while (fgets(line, sizeof line, file) != NULL) {
        uint8_t data[HANDMAP_MAX_BYTES], changed[HANDMAP_MAX_BYTES];
        char *space = strchr(line, ' ');
        bool is_sealed = strncmp(line, "sealed_", 7) == 0, is_same;
        size_t size, bit, cut;
        char kind;
        if (space == NULL) exit(2);
        *space = '\0';
        size = from_hex(space + 1, data);
        kind = handmap_is_control(data, size) ? (is_sealed ? 'c' : 'C') : (is_sealed ? 'p' : 'P');
        expect(decode_and_print(kind, data, size, false, &is_same) == HANDMAP_OK, line, "not read");
        expect(is_same, line, "not written again");
        for (cut = 0; cut < size; cut++, refused++)
            expect(decode_and_print(kind, data, cut, false, &is_same) != HANDMAP_OK, line, "cut short and accepted");
        for (bit = 0; bit < 8 * size; bit++, refused++) {
            memcpy(changed, data, size);
            changed[bit / 8] = (uint8_t)(changed[bit / 8] ^ 1 << bit % 8);
            expect(decode_and_print(kind, changed, size, false, &is_same) != HANDMAP_OK, line, "flipped and accepted");
            if (!is_sealed || bit >= 8 * (size - 4)) continue;
            handmap_write_u32(changed + size - 4, handmap_crc32(changed, size - 4));
            expect(decode_and_print(kind, changed, size, false, &is_same) != HANDMAP_OK, line, "forged and accepted");
        }
        datagrams++;
    }
    fclose(file);
    printf("golden %d refused %ld failures %d\n", datagrams, refused, failures);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = (uint8_t *)malloc(64u << 20);
    if (file == NULL || data == NULL) exit(2);
    *size = fread(data, 1, 64u << 20, file);
    fclose(file);
    return data;
}

static void check_decode(const char *path)
{
    size_t size, at = 0;
    uint8_t *data = read_file(path, &size);
    bool is_same;
    while (at < size) {
        size_t length = handmap_read_u16(data + at + 1);
        decode_and_print((char)data[at], data + at + 3, length, true, &is_same);
        at += 3 + length;
    }
    free(data);
}

static void print_held(const handmap_held *held)
{
    if (held == NULL) {
        printf(" none");
        return;
    }
    printf(" %d %.9f %.9f %lu %lu", (int)held->phase, held->engagement, held->age_s, (unsigned long)held->epoch,
           (unsigned long)held->hand.track_id);
    printf(" %.9f %.9f %.9f", held->xyz_m[0][0], held->xyz_m[7][1], held->xyz_m[20][2]);
}

static void check_state(char **arguments)
{
    handmap_streams streams;
    static handmap_frame frame;
    static handmap_clock clock;
    handmap_hand_state states[3];
    handmap_timing timing;
    size_t size, at = 0;
    uint8_t *data = read_file(arguments[0], &size);
    int i;
    handmap_streams_init(&streams, arguments[1][0] == '1');
    timing.stale_s = strtod(arguments[2], NULL);
    timing.hold_s = strtod(arguments[3], NULL);
    timing.relax_s = strtod(arguments[4], NULL);
    timing.engage_s = strtod(arguments[5], NULL);
    for (i = 0; i < 3; i++)
        if (handmap_hand_state_init(&states[i], (uint8_t)i, timing) != HANDMAP_OK) exit(2);
    while (at < size) {
        char kind = (char)data[at];
        int64_t now_ns = handmap_read_i64(data + at + 1), ahead_ns, error_ns;
        size_t length = handmap_read_u16(data + at + 9);
        at += 11;
        if (kind == 'v') {
            handmap_streams_prove(&streams, (uint32_t)now_ns);
        } else if (kind == 'c') {
            handmap_control pong;
            if (handmap_decode_control(data + at, length, NULL, &pong) != HANDMAP_OK) exit(2);
            handmap_clock_see(&clock, &pong, now_ns);
        } else if (kind == 'p') {
            handmap_packet packet;
            handmap_order order;
            if (handmap_decode(data + at, length, streams.has_key ? &keys : NULL, &packet) != HANDMAP_OK) exit(2);
            order = handmap_streams_take(&streams, &packet, now_ns);
            if (order.is_accepted && handmap_frame_join(&frame, &packet))
                for (i = 0; i < 3; i++)
                    handmap_hand_state_see_hands(&states[i], &packet, frame.hands, frame.hand_count, now_ns);
            printf("counts %llu %lld %llu", (unsigned long long)streams.received, (long long)streams.lost,
                   (unsigned long long)streams.late);
            printf(" %llu %llu %llu %llu\n", (unsigned long long)streams.repeated,
                   (unsigned long long)streams.restarts, (unsigned long long)streams.unproven,
                   (unsigned long long)frame.incomplete);
        } else {
            printf("hands");
            for (i = 0; i < 3; i++) print_held(handmap_hand_state_at(&states[i], now_ns));
            if (!handmap_clock_ahead(&clock, now_ns, &ahead_ns, &error_ns)) printf(" unknown\n");
            else printf(" %.9f %.9f\n", (double)ahead_ns / 1e9, (double)error_ns / 1e9);
        }
        at += length;
    }
    free(data);
}

int main(int count, char **arguments)
{
    const char *secret = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    if (handmap_add_key(&keys, secret) != HANDMAP_OK) return 2;
    if (count == 3 && strcmp(arguments[1], "golden") == 0) check_golden(arguments[2]);
    else if (count == 3 && strcmp(arguments[1], "decode") == 0) check_decode(arguments[2]);
    else if (count == 8 && strcmp(arguments[1], "state") == 0) check_state(arguments + 2);
    else return 64;
    return failures ? 1 : 0;
}
