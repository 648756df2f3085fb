/*
 * Bytes that nobody meant, for libFuzzer: packets and control messages, the order of packets and the state of a hand.
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined clients/c/fuzz.c -o fuzz && ./fuzz -max_len=1210
 * The first byte says whether there is a key (bit 0) and whether magic, version and checksum are made to fit (bits 1
 * and 2).
 */
#include "handmap.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void must(bool is_so)
{
    if (!is_so) abort();
}

static void use_packet(const uint8_t *data, size_t size, const handmap_keys *keys)
{
    static handmap_packet packet, again;
    static uint8_t written[HANDMAP_MAX_BYTES];
    size_t written_bytes;
    int i;
    if (handmap_decode(data, size, keys, &packet) != HANDMAP_OK) {
        must(packet.hand_count == 0);
        return;
    }
    must(packet.hand_count <= HANDMAP_MAX_HANDS);
    for (i = 0; i < packet.hand_count; i++) must(handmap_is_finite(packet.hands[i].xyz_m[20][2]));
    if (handmap_encode(&packet, keys, written, sizeof written, &written_bytes) != HANDMAP_OK) return;
    must(handmap_decode(written, written_bytes, keys, &again) == HANDMAP_OK);
    must(again.sequence == packet.sequence && again.hand_count == packet.hand_count);
    for (i = 0; i < packet.hand_count; i++)
        must(memcmp(packet.hands[i].xyz_m, again.hands[i].xyz_m, sizeof again.hands[i].xyz_m) == 0);
}

static void use_control(const uint8_t *data, size_t size, const handmap_keys *keys)
{
    uint8_t written[HANDMAP_MAX_BYTES];
    size_t written_bytes;
    handmap_control control, again;
    if (handmap_decode_control(data, size, keys, &control) != HANDMAP_OK) return;
    must(control.info_bytes == 0 || (control.info > data && control.info + control.info_bytes < data + size));
    if (handmap_encode_control(&control, keys, written, sizeof written, &written_bytes) != HANDMAP_OK) return;
    must(handmap_decode_control(written, written_bytes, keys, &again) == HANDMAP_OK);
    must(again.nonce == control.nonce && again.info_bytes == control.info_bytes);
}

/* The bytes as a list of what happens: 16 of them are one packet, or one look at the hand. */
static void use_state(const uint8_t *input, size_t size)
{
    static handmap_packet packet;
    static handmap_frame frame;
    handmap_streams streams;
    handmap_hand_state state;
    handmap_clock clock;
    handmap_timing timing = handmap_default_timing();
    memset(&clock, 0, sizeof clock);
    memset(&frame, 0, sizeof frame);
    handmap_packet_init(&packet);
    handmap_streams_init(&streams, size % 2 != 0);
    must(handmap_hand_state_init(&state, HANDMAP_EITHER_HAND, timing) == HANDMAP_OK);
    for (; size >= 16; input += 16, size -= 16) {
        int64_t now_ns = handmap_read_i64(input), ahead_ns, error_ns;
        const handmap_held *held = handmap_hand_state_at(&state, now_ns);
        must(held == NULL || (held->engagement >= 0 && held->engagement <= 1));
        packet.sequence = handmap_read_u16(input + 8);
        packet.stream_id = input[10] & 7;
        packet.state = input[11] & 7;
        packet.message_type = (uint8_t)(1 + (input[12] & 1));
        packet.hand_count = input[13] & 1;
        packet.hands[0].flags = HANDMAP_VALID;
        packet.hands[0].track_id = input[14] & 1;
        if (input[15] & 1) handmap_streams_prove(&streams, input[10] & 7);
        packet.part_count = (uint8_t)(1 + (input[12] >> 1 & 7));
        packet.part = (uint8_t)(input[13] >> 1 & 7);
        if (packet.part >= packet.part_count) continue;
        if (handmap_streams_take(&streams, &packet, now_ns).is_accepted)
            if (handmap_frame_join(&frame, &packet))
                handmap_hand_state_see_hands(&state, &packet, frame.hands, frame.hand_count, now_ns);
        if (input[15] & 2) {
            handmap_control pong;
            handmap_control_init(&pong, HANDMAP_PONG, 0);
            pong.received_ns = handmap_read_i64(input + 8);
            pong.client_ns = pong.sent_ns = now_ns;
            handmap_clock_see(&clock, &pong, now_ns);
        }
        if (handmap_clock_ahead(&clock, now_ns, &ahead_ns, &error_ns)) must(error_ns >= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static handmap_keys one;
    const handmap_keys *keys;
    uint8_t *data;
    uint8_t how;
    if (size < 1) return 0;
    if (one.count == 0) handmap_add_key(&one, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    how = *input++;
    size--;
    use_state(input, size);
    keys = how & 1 ? &one : NULL;
    data = (uint8_t *)malloc(size + 1);
    if (data == NULL) return 0;
    memcpy(data, input, size);
    if (how & 2 && size >= 5) memcpy(data, "HMAP\1", 5);
    if (how & 4 && size >= 24 && size <= HANDMAP_MAX_BYTES) {
        if (keys != NULL && size >= 84) {
            memcpy(data + size - 24, keys->keys[0].id, 4);
            data[12] = 1;
            handmap_blake2s(keys->keys[0].secret, "HMAP-tag", data, size - 20, data + size - 20, 16);
        }
        handmap_write_u32(data + size - 4, handmap_crc32(data, size - 4));
    }
    use_packet(data, size, keys);
    use_control(data, size, keys);
    free(data);
    return 0;
}
