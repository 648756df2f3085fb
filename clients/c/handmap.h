/*
 * HandMap Edge, protocol 1.0: packets and control messages, read and written; what a receiver does with them.
 *
 * One header, C99 and C++17. Nothing is allocated, no library is needed beyond the compiler's own headers and memcpy,
 * memcmp and memset, and nothing depends on byte order or alignment. No function keeps state of its own: several
 * threads may use it, each with its own structs. docs/protocol.md is the specification, docs/codecs.md the guide.
 *
 * Units are in the names: _m meters, _rad radians, _s seconds, _ns nanoseconds. Joints are hand21: 0 wrist, then thumb
 * 1-4, index 5-8, middle 9-12, ring 13-16 and little 17-20, each from the palm to the tip.
 *
 *     handmap_packet packet;
 *     handmap_error error = handmap_decode(data, size, NULL, &packet);
 *     if (error != HANDMAP_OK) puts(handmap_error_text(error));
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HANDMAP_H
#define HANDMAP_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if FLT_RADIX != 2 || FLT_MANT_DIG != 24 || FLT_MAX_EXP != 128
#error "handmap.h needs a float of 32 bits as in IEEE 754"
#endif

#ifndef HANDMAP_API
#define HANDMAP_API static inline
#endif

#define HANDMAP_MAJOR 1
#define HANDMAP_MINOR 0
#define HANDMAP_PORT 5656         /* packets */
#define HANDMAP_CONTROL_PORT 5655 /* control messages */
#define HANDMAP_JOINTS 21
#define HANDMAP_TURNS 16 /* joints with an orientation of their own: all but the tips */
#define HANDMAP_ANGLES 22
#define HANDMAP_PINCHES 4
#define HANDMAP_MAX_HANDS 3 /* in one datagram */
#define HANDMAP_MAX_PARTS 8
#define HANDMAP_MAX_KEYS 8
#define HANDMAP_KEY_BYTES 32
#define HANDMAP_MIN_BYTES 64
#define HANDMAP_MAX_BYTES 1200
#define HANDMAP_HEADER_BYTES 60
#define HANDMAP_HAND_BYTES 352
#define HANDMAP_BLOCK_BYTES 4
#define HANDMAP_SKELETON_BYTES 188
#define HANDMAP_CONTROL_BYTES 72
#define HANDMAP_TRAILER_BYTES 20
#define HANDMAP_CRC_BYTES 4
#define HANDMAP_MAX_INFO_BYTES \
    (HANDMAP_MAX_BYTES - HANDMAP_CONTROL_BYTES - HANDMAP_TRAILER_BYTES - HANDMAP_CRC_BYTES)
#define HANDMAP_SILENCE_NS 1500000000 /* after so long without a packet the daemon is down */

/* ---- what is in a datagram --------------------------------------------------------------------------------------- */

typedef enum handmap_error {
    HANDMAP_OK = 0,
    HANDMAP_TOO_SHORT,
    HANDMAP_TOO_LONG,
    HANDMAP_BAD_MAGIC,
    HANDMAP_OTHER_VERSION,
    HANDMAP_BAD_CHECKSUM,
    HANDMAP_UNKNOWN_FLAGS,
    HANDMAP_NOT_AUTHENTICATED,
    HANDMAP_UNKNOWN_KEY,
    HANDMAP_BAD_TAG,
    HANDMAP_BAD_LENGTHS,
    HANDMAP_HANDS_DO_NOT_FIT,
    HANDMAP_BAD_PART,
    HANDMAP_BAD_BLOCK,
    HANDMAP_SHORT_SKELETON,
    HANDMAP_STRAY_SKELETON,
    HANDMAP_BAD_ORIENTATION,
    HANDMAP_NOT_FINITE,
    HANDMAP_UNKNOWN_TYPE,
    HANDMAP_UNKNOWN_STATUS,
    HANDMAP_UNKNOWN_JOINT_ORDER,
    HANDMAP_UNKNOWN_FRAME,
    HANDMAP_UNKNOWN_CLOCK,
    HANDMAP_UNKNOWN_HANDEDNESS,
    HANDMAP_OUT_OF_RANGE,
    HANDMAP_DOES_NOT_FIT,
    HANDMAP_NO_ROOM,
    HANDMAP_BAD_KEY,
    HANDMAP_BAD_TIMING
} handmap_error;

enum { HANDMAP_JOINTS_MESSAGE = 1, HANDMAP_HEARTBEAT = 2 }; /* message_type of a packet */
enum {                                                      /* message_type of a control message */
    HANDMAP_PING = 16,
    HANDMAP_PONG = 17,
    HANDMAP_SUBSCRIBE = 18,
    HANDMAP_SUBSCRIBED = 19,
    HANDMAP_UNSUBSCRIBE = 20,
    HANDMAP_INFO_REQUEST = 21,
    HANDMAP_INFO = 22,
    HANDMAP_SNAPSHOT = 23,
    HANDMAP_SNAPSHOT_TAKEN = 24
};
enum { HANDMAP_DONE = 0, HANDMAP_BAD_TOKEN = 1, HANDMAP_FULL = 2, HANDMAP_NOT_ALLOWED = 3 }; /* status of a control message */
enum {                                                                                       /* state of the daemon */
    HANDMAP_STARTING = 0,
    HANDMAP_NO_CAMERA = 1,
    HANDMAP_NO_HAND = 2,
    HANDMAP_TRACKING = 3,
    HANDMAP_DEGRADED = 4,
    HANDMAP_STOPPING = 5
};
enum { HANDMAP_NO_ENGINE = 0, HANDMAP_FP32 = 1, HANDMAP_FP16 = 2, HANDMAP_INT8 = 3 }; /* precision */
enum { HANDMAP_ARRIVAL = 0, HANDMAP_CAMERA_CLOCK = 1, HANDMAP_RECORDING = 2 };        /* timestamp_source */
enum { HANDMAP_UNKNOWN = 255 }; /* what a newer minor version adds to these three; follow no hand in an unknown state */
enum { HANDMAP_HAND21 = 1 };    /* joint_order */
enum { HANDMAP_CAMERA_FRAME = 0, HANDMAP_CONFIGURED_FRAME = 1 };                      /* frame_of_reference */
enum { HANDMAP_MONOTONIC = 1 };                                                       /* clock */
enum { HANDMAP_EITHER_HAND = 0, HANDMAP_LEFT = 1, HANDMAP_RIGHT = 2 };                /* handedness; 0 is unknown */
enum { HANDMAP_VALID = 1, HANDMAP_TRACKED = 2, HANDMAP_EXTRAPOLATED = 4 };            /* flags of a hand */

/* What the fit knows of a hand beyond its joints. */
typedef struct handmap_skeleton {
    float quaternions[HANDMAP_TURNS][4]; /* x, y, z, w: wrist; thumb cmc, mcp, ip; index mcp, pip, dip; ... */
    float angles_rad[HANDMAP_ANGLES];    /* in the order of docs/skeleton.md */
    float pinch_strength[HANDMAP_PINCHES]; /* 0 to 1: index, middle, ring, little with the thumb */
    bool is_pinching[HANDMAP_PINCHES];
    bool is_size_held; /* the hand's size has been learned */
    float grasp_closure; /* 0 straight fingers, 1 a fist */
    float hand_length_m; /* wrist to middle fingertip along the bones */
    float hand_length_error_m; /* standard deviation of that */
} handmap_skeleton;

typedef struct handmap_hand {
    uint32_t track_id; /* constant while the hand is tracked */
    uint8_t handedness; /* HANDMAP_LEFT, HANDMAP_RIGHT; of the person */
    uint8_t flags; /* HANDMAP_VALID, ...; ignore a hand that is not valid if joints move something */
    bool has_skeleton; /* without one, `skeleton` holds nothing */
    float handedness_confidence; /* 0 to 1 */
    float confidence; /* 0 to 1, that it is a hand */
    float xyz_m[HANDMAP_JOINTS][3]; /* in the frame of the packet; the camera's is x right, y down, z away */
    float expected_error_m[HANDMAP_JOINTS]; /* expected distance from the truth */
    handmap_skeleton skeleton;
} handmap_hand;

/* One packet. Begin one that is to be sent with handmap_packet_init. */
typedef struct handmap_packet {
    uint8_t minor; /* of the sender's version */
    uint8_t message_type;
    uint8_t state; /* of the daemon */
    uint8_t precision;
    uint8_t joint_order;
    uint8_t frame_of_reference;
    uint8_t clock;
    uint8_t timestamp_source;
    uint8_t compatible; /* flags that may be ignored */
    uint8_t part, part_count; /* datagrams of this frame, see handmap_hand_state_see */
    uint8_t hand_count;
    uint16_t control_port; /* where the sender answers, 0 if it does not */
    uint32_t stream_id, sequence, frame_number;
    int64_t capture_ns, publish_ns; /* the sender's CLOCK_MONOTONIC */
    uint8_t bundle_id[8];
    handmap_hand hands[HANDMAP_MAX_HANDS]; /* only the first hand_count hold anything */
} handmap_packet;

/* One control message. Begin one that is to be sent with handmap_control_init. */
typedef struct handmap_control {
    uint8_t message_type;
    uint8_t status;
    uint16_t lease_s;
    uint32_t stream_id; /* of the daemon; 0 in requests */
    uint64_t nonce; /* any number of the receiver's, which the answer repeats */
    uint8_t token[16]; /* from the last PONG */
    int64_t client_ns; /* the receiver's clock when it asked */
    int64_t received_ns, sent_ns; /* the daemon's when it read the request and answered */
    const uint8_t *info; /* JSON text of an INFO; points into the datagram that was decoded */
    size_t info_bytes;
} handmap_control;

/* A shared secret, and the hash by which a datagram says that it was sealed with it. */
typedef struct handmap_key {
    uint8_t secret[HANDMAP_KEY_BYTES];
    uint8_t id[4];
} handmap_key;

/* The keys of one side: the first one seals, all are accepted. */
typedef struct handmap_keys {
    int count;
    handmap_key keys[HANDMAP_MAX_KEYS];
} handmap_keys;

/* What an error means, in one sentence without its end. */
HANDMAP_API const char *handmap_error_text(handmap_error error)
{
    switch (error) {
    case HANDMAP_OK: return "done";
    case HANDMAP_TOO_SHORT: return "the datagram is too short for one of HandMap";
    case HANDMAP_TOO_LONG: return "the datagram is longer than 1200 bytes; something else is sending to this port";
    case HANDMAP_BAD_MAGIC: return "the datagram does not start with HMAP; something else is sending to this port";
    case HANDMAP_OTHER_VERSION: return "another major version than 1 cannot be read; update the older side";
    case HANDMAP_BAD_CHECKSUM: return "the checksum does not match, the datagram was damaged or truncated";
    case HANDMAP_UNKNOWN_FLAGS: return "flags that change the layout are unknown to version 1.0; update the receiver";
    case HANDMAP_NOT_AUTHENTICATED: return "the datagram is not authenticated, but this side has a key";
    case HANDMAP_UNKNOWN_KEY: return "the datagram was sealed with a key that this side does not have";
    case HANDMAP_BAD_TAG: return "the tag does not match, the datagram was forged or changed";
    case HANDMAP_BAD_LENGTHS: return "a header or hand record is shorter than that of version 1.0, or too long";
    case HANDMAP_HANDS_DO_NOT_FIT: return "the hands do not fit into the bytes found";
    case HANDMAP_BAD_PART: return "the part is not one of 1 to 8 that a frame can have";
    case HANDMAP_BAD_BLOCK: return "a block reaches beyond the datagram";
    case HANDMAP_SHORT_SKELETON: return "a skeleton has fewer than 188 bytes";
    case HANDMAP_STRAY_SKELETON: return "a skeleton belongs to no hand, or to one that already has one";
    case HANDMAP_BAD_ORIENTATION: return "an orientation is not a unit quaternion";
    case HANDMAP_NOT_FINITE: return "a number is not finite";
    case HANDMAP_UNKNOWN_TYPE: return "the message type is unknown to version 1.0";
    case HANDMAP_UNKNOWN_STATUS: return "the status is unknown to version 1.0";
    case HANDMAP_UNKNOWN_JOINT_ORDER: return "the joint order is unknown to version 1.0";
    case HANDMAP_UNKNOWN_FRAME: return "the frame of reference is unknown to version 1.0";
    case HANDMAP_UNKNOWN_CLOCK: return "the clock is unknown to version 1.0";
    case HANDMAP_UNKNOWN_HANDEDNESS: return "the handedness is unknown to version 1.0";
    case HANDMAP_OUT_OF_RANGE: return "a number is out of the range that a datagram can hold";
    case HANDMAP_DOES_NOT_FIT: return "more hands, skeletons or text than a datagram can hold";
    case HANDMAP_NO_ROOM: return "the buffer is too small; 1200 bytes are always enough";
    case HANDMAP_BAD_KEY: return "a key has 64 hexadecimal digits";
    case HANDMAP_BAD_TIMING: return "times of a hand are seconds, 0 or more";
    }
    return "unknown error";
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

HANDMAP_API uint16_t handmap_read_u16(const uint8_t *at) { return (uint16_t)(at[0] | ((unsigned)at[1] << 8)); }

HANDMAP_API uint32_t handmap_read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

HANDMAP_API uint64_t handmap_read_u64(const uint8_t *at)
{
    return (uint64_t)handmap_read_u32(at) | (uint64_t)handmap_read_u32(at + 4) << 32;
}

HANDMAP_API int handmap_read_i16(const uint8_t *at)
{
    int value = (int)handmap_read_u16(at);
    return value < 0x8000 ? value : value - 0x10000;
}

HANDMAP_API int64_t handmap_read_i64(const uint8_t *at)
{
    uint64_t bits = handmap_read_u64(at);
    int64_t value;
    memcpy(&value, &bits, sizeof value); /* int64_t is two's complement by definition */
    return value;
}

HANDMAP_API bool handmap_is_finite_bits(uint32_t bits) { return (bits & 0x7F800000u) != 0x7F800000u; }

HANDMAP_API float handmap_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

HANDMAP_API uint32_t handmap_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

HANDMAP_API bool handmap_is_finite(float value) { return handmap_is_finite_bits(handmap_bits_of(value)); }

HANDMAP_API void handmap_write_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value & 0xFFu);
    at[1] = (uint8_t)(value >> 8 & 0xFFu);
}

HANDMAP_API void handmap_write_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value & 0xFFu);
    at[1] = (uint8_t)(value >> 8 & 0xFFu);
    at[2] = (uint8_t)(value >> 16 & 0xFFu);
    at[3] = (uint8_t)(value >> 24);
}

HANDMAP_API void handmap_write_u64(uint8_t *at, uint64_t value)
{
    handmap_write_u32(at, (uint32_t)(value & 0xFFFFFFFFu));
    handmap_write_u32(at + 4, (uint32_t)(value >> 32));
}

HANDMAP_API void handmap_write_i64(uint8_t *at, int64_t value) { handmap_write_u64(at, (uint64_t)value); }

HANDMAP_API void handmap_write_float(uint8_t *at, float value) { handmap_write_u32(at, handmap_bits_of(value)); }

/* ---- checksum: CRC-32, eight bytes at a time --------------------------------------------------------------------- */

/* The table is linear: an entry is the sum of those of its bits. Row s is for a byte that s others follow. */
#define HANDMAP_CRC_SUM(x, a, b, c, d, e, f, g, h)                                                  \
    (((x) & 1u ? a : 0u) ^ ((x) & 2u ? b : 0u) ^ ((x) & 4u ? c : 0u) ^ ((x) & 8u ? d : 0u) ^        \
     ((x) & 16u ? e : 0u) ^ ((x) & 32u ? f : 0u) ^ ((x) & 64u ? g : 0u) ^ ((x) & 128u ? h : 0u))
#define HANDMAP_CRC_0(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0x77073096u, 0xEE0E612Cu, 0x076DC419u, 0x0EDB8832u, 0x1DB71064u, 0x3B6E20C8u, \
                    0x76DC4190u, 0xEDB88320u)
#define HANDMAP_CRC_1(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0x191B3141u, 0x32366282u, 0x646CC504u, 0xC8D98A08u, 0x4AC21251u, 0x958424A2u, \
                    0xF0794F05u, 0x3B83984Bu)
#define HANDMAP_CRC_2(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0x01C26A37u, 0x0384D46Eu, 0x0709A8DCu, 0x0E1351B8u, 0x1C26A370u, 0x384D46E0u, \
                    0x709A8DC0u, 0xE1351B80u)
#define HANDMAP_CRC_3(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0xB8BC6765u, 0xAA09C88Bu, 0x8F629757u, 0xC5B428EFu, 0x5019579Fu, 0xA032AF3Eu, \
                    0x9B14583Du, 0xED59B63Bu)
#define HANDMAP_CRC_4(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0x3D6029B0u, 0x7AC05360u, 0xF580A6C0u, 0x30704BC1u, 0x60E09782u, 0xC1C12F04u, \
                    0x58F35849u, 0xB1E6B092u)
#define HANDMAP_CRC_5(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0xCB5CD3A5u, 0x4DC8A10Bu, 0x9B914216u, 0xEC53826Du, 0x03D6029Bu, 0x07AC0536u, \
                    0x0F580A6Cu, 0x1EB014D8u)
#define HANDMAP_CRC_6(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0xA6770BB4u, 0x979F1129u, 0xF44F2413u, 0x33EF4E67u, 0x67DE9CCEu, 0xCFBD399Cu, \
                    0x440B7579u, 0x8816EAF2u)
#define HANDMAP_CRC_7(x)                                                                            \
    HANDMAP_CRC_SUM(x, 0xCCAA009Eu, 0x4225077Du, 0x844A0EFAu, 0xD3E51BB5u, 0x7CBB312Bu, 0xF9766256u, \
                    0x299DC2EDu, 0x533B85DAu)
#define HANDMAP_CRC_16(s, h)                                                                        \
    HANDMAP_CRC_##s(0x##h##0u), HANDMAP_CRC_##s(0x##h##1u), HANDMAP_CRC_##s(0x##h##2u),             \
    HANDMAP_CRC_##s(0x##h##3u), HANDMAP_CRC_##s(0x##h##4u), HANDMAP_CRC_##s(0x##h##5u),             \
    HANDMAP_CRC_##s(0x##h##6u), HANDMAP_CRC_##s(0x##h##7u), HANDMAP_CRC_##s(0x##h##8u),             \
    HANDMAP_CRC_##s(0x##h##9u), HANDMAP_CRC_##s(0x##h##Au), HANDMAP_CRC_##s(0x##h##Bu),             \
    HANDMAP_CRC_##s(0x##h##Cu), HANDMAP_CRC_##s(0x##h##Du), HANDMAP_CRC_##s(0x##h##Eu),             \
    HANDMAP_CRC_##s(0x##h##Fu)
#define HANDMAP_CRC_256(s)                                                                          \
    { HANDMAP_CRC_16(s, 0), HANDMAP_CRC_16(s, 1), HANDMAP_CRC_16(s, 2), HANDMAP_CRC_16(s, 3),       \
      HANDMAP_CRC_16(s, 4), HANDMAP_CRC_16(s, 5), HANDMAP_CRC_16(s, 6), HANDMAP_CRC_16(s, 7),       \
      HANDMAP_CRC_16(s, 8), HANDMAP_CRC_16(s, 9), HANDMAP_CRC_16(s, A), HANDMAP_CRC_16(s, B),       \
      HANDMAP_CRC_16(s, C), HANDMAP_CRC_16(s, D), HANDMAP_CRC_16(s, E), HANDMAP_CRC_16(s, F) }

static const uint32_t handmap_crc_table[8][256] = {
    HANDMAP_CRC_256(0), HANDMAP_CRC_256(1), HANDMAP_CRC_256(2), HANDMAP_CRC_256(3),
    HANDMAP_CRC_256(4), HANDMAP_CRC_256(5), HANDMAP_CRC_256(6), HANDMAP_CRC_256(7)
};

/* The CRC-32 of IEEE 802.3, zlib's crc32. */
HANDMAP_API uint32_t handmap_crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (; size >= 8; data += 8, size -= 8) {
        uint32_t low = crc ^ handmap_read_u32(data), high = handmap_read_u32(data + 4);
        crc = handmap_crc_table[7][low & 0xFFu] ^ handmap_crc_table[6][low >> 8 & 0xFFu] ^
              handmap_crc_table[5][low >> 16 & 0xFFu] ^ handmap_crc_table[4][low >> 24] ^
              handmap_crc_table[3][high & 0xFFu] ^ handmap_crc_table[2][high >> 8 & 0xFFu] ^
              handmap_crc_table[1][high >> 16 & 0xFFu] ^ handmap_crc_table[0][high >> 24];
    }
    for (; size > 0; data++, size--)
        crc = crc >> 8 ^ handmap_crc_table[0][(crc ^ *data) & 0xFFu];
    return crc ^ 0xFFFFFFFFu;
}

/* ---- keys: BLAKE2s (RFC 7693), keyed and personalized ------------------------------------------------------------ */

#define HANDMAP_ROTATED(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))
#define HANDMAP_MIX(a, b, c, d, x, y)                                                               \
    do {                                                                                            \
        v[a] += v[b] + (x), v[d] ^= v[a], v[d] = HANDMAP_ROTATED(v[d], 16);                         \
        v[c] += v[d], v[b] ^= v[c], v[b] = HANDMAP_ROTATED(v[b], 12);                               \
        v[a] += v[b] + (y), v[d] ^= v[a], v[d] = HANDMAP_ROTATED(v[d], 8);                          \
        v[c] += v[d], v[b] ^= v[c], v[b] = HANDMAP_ROTATED(v[b], 7);                                \
    } while (0)

/* The order in which the words of a block are mixed in, round by round. */
static const uint8_t handmap_blake2s_order[10][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
    { 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 }, { 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
    { 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 }, { 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
    { 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 }, { 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
    { 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 }, { 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 }
};
static const uint32_t handmap_blake2s_start[8] = { 0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                                                   0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u };

/* Takes a block of 64 bytes into the hash; `counted` bytes, this block's included, have been hashed. */
HANDMAP_API void handmap_blake2s_block(uint32_t hash[8], const uint8_t *block, uint32_t counted, bool is_last)
{
    uint32_t m[16], v[16];
    int i;
    for (i = 0; i < 16; i++) m[i] = handmap_read_u32(block + 4 * i);
    for (i = 0; i < 8; i++) v[i] = hash[i], v[i + 8] = handmap_blake2s_start[i];
    v[12] ^= counted; /* the upper half of the counter is 0: no datagram is that long */
    if (is_last) v[14] ^= 0xFFFFFFFFu;
    for (i = 0; i < 10; i++) {
        const uint8_t *order = handmap_blake2s_order[i];
        HANDMAP_MIX(0, 4, 8, 12, m[order[0]], m[order[1]]);
        HANDMAP_MIX(1, 5, 9, 13, m[order[2]], m[order[3]]);
        HANDMAP_MIX(2, 6, 10, 14, m[order[4]], m[order[5]]);
        HANDMAP_MIX(3, 7, 11, 15, m[order[6]], m[order[7]]);
        HANDMAP_MIX(0, 5, 10, 15, m[order[8]], m[order[9]]);
        HANDMAP_MIX(1, 6, 11, 12, m[order[10]], m[order[11]]);
        HANDMAP_MIX(2, 7, 8, 13, m[order[12]], m[order[13]]);
        HANDMAP_MIX(3, 4, 9, 14, m[order[14]], m[order[15]]);
    }
    for (i = 0; i < 8; i++) hash[i] ^= v[i] ^ v[i + 8];
}

/* BLAKE2s of `size` bytes with a key of 32 and a personalization of 8; the digest has `digest_bytes`, at most 32. */
HANDMAP_API void handmap_blake2s(const uint8_t secret[HANDMAP_KEY_BYTES], const char *personalization,
                                 const uint8_t *data, size_t size, uint8_t *digest, size_t digest_bytes)
{
    uint32_t hash[8], counted = 64;
    uint8_t block[64] = { 0 }, person[8];
    size_t i;
    memcpy(person, personalization, sizeof person);
    memcpy(hash, handmap_blake2s_start, sizeof hash);
    hash[0] ^= 0x01010000u ^ (uint32_t)HANDMAP_KEY_BYTES << 8 ^ (uint32_t)digest_bytes;
    hash[6] ^= handmap_read_u32(person);
    hash[7] ^= handmap_read_u32(person + 4);
    memcpy(block, secret, HANDMAP_KEY_BYTES); /* the key, padded, is the first block */
    handmap_blake2s_block(hash, block, counted, size == 0);
    for (; size > 64; data += 64, size -= 64) handmap_blake2s_block(hash, data, counted += 64, false);
    if (size > 0) {
        memset(block, 0, sizeof block);
        memcpy(block, data, size);
        handmap_blake2s_block(hash, block, counted + (uint32_t)size, true);
    }
    for (i = 0; i < digest_bytes; i++) digest[i] = (uint8_t)(hash[i / 4] >> 8 * (i % 4) & 0xFFu);
}

/* The key of a secret of 32 bytes. */
HANDMAP_API handmap_key handmap_make_key(const uint8_t secret[HANDMAP_KEY_BYTES])
{
    handmap_key key;
    memcpy(key.secret, secret, HANDMAP_KEY_BYTES);
    handmap_blake2s(secret, "HMAP-kid", NULL, 0, key.id, sizeof key.id);
    return key;
}

/* Adds the key whose 64 hexadecimal digits the text begins with, as in the daemon's key file; start with count 0. */
HANDMAP_API handmap_error handmap_add_key(handmap_keys *keys, const char *text)
{
    uint8_t secret[HANDMAP_KEY_BYTES];
    int i;
    if (keys->count >= HANDMAP_MAX_KEYS) return HANDMAP_DOES_NOT_FIT;
    for (i = 0; i < 2 * HANDMAP_KEY_BYTES; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return HANDMAP_BAD_KEY;
        secret[i / 2] = (uint8_t)(i % 2 ? secret[i / 2] | digit : digit << 4);
    }
    keys->keys[keys->count++] = handmap_make_key(secret);
    return HANDMAP_OK;
}

/* ---- what all datagrams share ------------------------------------------------------------------------------------ */

/* Appends trailer and checksum to the `size` bytes of a body whose flags are 0; returns the size of the datagram. */
HANDMAP_API size_t handmap_seal(uint8_t *data, size_t size, const handmap_keys *keys)
{
    if (keys != NULL) {
        data[12] = 1;
        memcpy(data + size, keys->keys[0].id, 4);
        handmap_blake2s(keys->keys[0].secret, "HMAP-tag", data, size + 4, data + size + 4, 16);
        size += HANDMAP_TRAILER_BYTES;
    }
    handmap_write_u32(data + size, handmap_crc32(data, size));
    return size + HANDMAP_CRC_BYTES;
}

/* How a body without trailer and checksum would fit: the room and the keys are there. */
HANDMAP_API handmap_error handmap_can_seal(size_t body_bytes, const handmap_keys *keys, size_t room)
{
    size_t size = body_bytes + HANDMAP_CRC_BYTES + (keys != NULL ? HANDMAP_TRAILER_BYTES : 0);
    if (body_bytes > HANDMAP_MAX_BYTES - HANDMAP_TRAILER_BYTES - HANDMAP_CRC_BYTES) return HANDMAP_DOES_NOT_FIT;
    if (size > room) return HANDMAP_NO_ROOM;
    return keys != NULL && keys->count < 1 ? HANDMAP_BAD_KEY : HANDMAP_OK;
}

/* Verifies a datagram and gives the length of its body, which trailer and checksum are not part of. */
HANDMAP_API handmap_error handmap_unseal(const uint8_t *data, size_t size, const handmap_keys *keys, size_t *body_bytes)
{
    const uint8_t *trailer;
    uint8_t tag[16], difference = 0;
    int i, found = -1;
    *body_bytes = 0;
    if (size < HANDMAP_MIN_BYTES) return HANDMAP_TOO_SHORT;
    if (size > HANDMAP_MAX_BYTES) return HANDMAP_TOO_LONG;
    if (memcmp(data, "HMAP", 4) != 0) return HANDMAP_BAD_MAGIC;
    if (data[4] != HANDMAP_MAJOR) return HANDMAP_OTHER_VERSION;
    size -= HANDMAP_CRC_BYTES;
    if (handmap_read_u32(data + size) != handmap_crc32(data, size)) return HANDMAP_BAD_CHECKSUM;
    if (data[12] > 1) return HANDMAP_UNKNOWN_FLAGS;
    if (data[12] == 0) {
        *body_bytes = size;
        return keys != NULL ? HANDMAP_NOT_AUTHENTICATED : HANDMAP_OK;
    }
    if (size < HANDMAP_HEADER_BYTES + HANDMAP_TRAILER_BYTES) return HANDMAP_TOO_SHORT;
    size -= HANDMAP_TRAILER_BYTES;
    *body_bytes = size;
    if (keys == NULL) return HANDMAP_OK;
    trailer = data + size;
    for (i = 0; i < keys->count && found < 0; i++)
        if (memcmp(trailer, keys->keys[i].id, 4) == 0) found = i;
    if (found < 0) return HANDMAP_UNKNOWN_KEY;
    handmap_blake2s(keys->keys[found].secret, "HMAP-tag", data, size + 4, tag, sizeof tag);
    /* Takes the same time wherever the tags differ. */
    for (i = 0; i < 16; i++) difference = (uint8_t)(difference | (tag[i] ^ trailer[4 + i]));
    return difference ? HANDMAP_BAD_TAG : HANDMAP_OK;
}

/* Whether a datagram can only be a control message, whatever else is wrong with it. */
HANDMAP_API bool handmap_is_control(const uint8_t *data, size_t size) { return size > 8 && data[8] >= HANDMAP_PING; }

/* ---- packets, read ----------------------------------------------------------------------------------------------- */

HANDMAP_API handmap_error handmap_decode_skeleton(const uint8_t *at, handmap_skeleton *skeleton)
{
    const uint8_t *shares = at + 172;
    uint32_t length = handmap_read_u32(at + 180), length_error = handmap_read_u32(at + 184);
    int i, k;
    for (i = 0; i < HANDMAP_TURNS; i++) {
        int64_t squared = 0;
        for (k = 0; k < 4; k++) {
            int part = handmap_read_i16(at + 8 * i + 2 * k);
            skeleton->quaternions[i][k] = (float)part / 32767.0f;
            squared += (int64_t)part * part;
        }
        squared -= (int64_t)32767 * 32767;
        if (squared < 0) squared = -squared;
        if (squared * 100 >= (int64_t)32767 * 32767) return HANDMAP_BAD_ORIENTATION;
    }
    for (i = 0; i < HANDMAP_ANGLES; i++) skeleton->angles_rad[i] = (float)handmap_read_i16(at + 128 + 2 * i) / 10000.0f;
    for (i = 0; i < HANDMAP_PINCHES; i++) {
        skeleton->pinch_strength[i] = (float)shares[i] / 255.0f;
        skeleton->is_pinching[i] = (shares[4] >> i & 1) != 0;
    }
    skeleton->grasp_closure = (float)shares[5] / 255.0f;
    skeleton->is_size_held = (shares[6] & 1) != 0;
    if (!handmap_is_finite_bits(length) || !handmap_is_finite_bits(length_error)) return HANDMAP_NOT_FINITE;
    skeleton->hand_length_m = handmap_float_of(length);
    skeleton->hand_length_error_m = handmap_float_of(length_error);
    return HANDMAP_OK;
}

HANDMAP_API handmap_error handmap_decode_blocks(const uint8_t *data, size_t at, size_t end, handmap_packet *packet)
{
    while (at < end) {
        size_t content;
        if (end - at < HANDMAP_BLOCK_BYTES) return HANDMAP_BAD_BLOCK;
        content = handmap_read_u16(data + at + 2);
        if (content > end - at - HANDMAP_BLOCK_BYTES) return HANDMAP_BAD_BLOCK;
        if (data[at] == 1) {
            handmap_hand *hand = &packet->hands[data[at + 1] % HANDMAP_MAX_HANDS];
            handmap_error error;
            if (content < HANDMAP_SKELETON_BYTES) return HANDMAP_SHORT_SKELETON;
            if (data[at + 1] >= packet->hand_count || hand->has_skeleton) return HANDMAP_STRAY_SKELETON;
            error = handmap_decode_skeleton(data + at + HANDMAP_BLOCK_BYTES, &hand->skeleton);
            if (error != HANDMAP_OK) return error;
            hand->has_skeleton = true;
        }
        at += HANDMAP_BLOCK_BYTES + content;
    }
    return HANDMAP_OK;
}

HANDMAP_API handmap_error handmap_decode_hand(const uint8_t *at, handmap_hand *hand)
{
    uint32_t handedness_confidence = handmap_read_u32(at + 8), confidence = handmap_read_u32(at + 12), carry = 0;
    bool is_finite = handmap_is_finite_bits(handedness_confidence) && handmap_is_finite_bits(confidence);
    int joint, k;
    hand->track_id = handmap_read_u32(at);
    hand->handedness = at[4];
    hand->flags = at[5] & (HANDMAP_VALID | HANDMAP_TRACKED | HANDMAP_EXTRAPOLATED);
    hand->handedness_confidence = handmap_float_of(handedness_confidence);
    hand->confidence = handmap_float_of(confidence);
    for (joint = 0; joint < HANDMAP_JOINTS; joint++) {
        const uint8_t *from = at + 16 + 16 * joint;
        uint32_t bits[4];
        for (k = 0; k < 4; k++) {
            bits[k] = handmap_read_u32(from + 4 * k);
            carry |= (bits[k] & 0x7F800000u) + 0x00800000u; /* into the highest bit, if the exponent is all ones */
        }
        memcpy(hand->xyz_m[joint], bits, 12);
        memcpy(&hand->expected_error_m[joint], &bits[3], 4);
    }
    if (!is_finite || carry >> 31) return HANDMAP_NOT_FINITE;
    return hand->handedness <= HANDMAP_RIGHT ? HANDMAP_OK : HANDMAP_UNKNOWN_HANDEDNESS;
}

HANDMAP_API handmap_error handmap_decode_body(const uint8_t *data, size_t end, handmap_packet *packet)
{
    size_t header_bytes = handmap_read_u16(data + 6), hand_bytes = handmap_read_u16(data + 18), count = data[9], i;
    handmap_error error;
    if (header_bytes < HANDMAP_HEADER_BYTES || hand_bytes < HANDMAP_HAND_BYTES) return HANDMAP_BAD_LENGTHS;
    if (header_bytes + count * hand_bytes > end) return HANDMAP_HANDS_DO_NOT_FIT; /* so there are 3 at most */
    if (data[56] >= data[57] || data[57] > HANDMAP_MAX_PARTS) return HANDMAP_BAD_PART;
    if (data[8] != HANDMAP_JOINTS_MESSAGE && data[8] != HANDMAP_HEARTBEAT) return HANDMAP_UNKNOWN_TYPE;
    if (data[10] != HANDMAP_HAND21) return HANDMAP_UNKNOWN_JOINT_ORDER;
    if (data[15] > HANDMAP_CONFIGURED_FRAME) return HANDMAP_UNKNOWN_FRAME;
    if (data[16] != HANDMAP_MONOTONIC) return HANDMAP_UNKNOWN_CLOCK;
    packet->minor = data[5];
    packet->message_type = data[8];
    packet->joint_order = data[10];
    packet->precision = data[11] <= HANDMAP_INT8 ? data[11] : (uint8_t)HANDMAP_UNKNOWN;
    packet->compatible = data[13];
    packet->state = data[14] <= HANDMAP_STOPPING ? data[14] : (uint8_t)HANDMAP_UNKNOWN;
    packet->frame_of_reference = data[15];
    packet->clock = data[16];
    packet->timestamp_source = data[17] <= HANDMAP_RECORDING ? data[17] : (uint8_t)HANDMAP_UNKNOWN;
    packet->stream_id = handmap_read_u32(data + 20);
    packet->sequence = handmap_read_u32(data + 24);
    packet->frame_number = handmap_read_u32(data + 28);
    packet->capture_ns = handmap_read_i64(data + 32);
    packet->publish_ns = handmap_read_i64(data + 40);
    memcpy(packet->bundle_id, data + 48, 8);
    packet->part = data[56];
    packet->part_count = data[57];
    packet->control_port = handmap_read_u16(data + 58);
    packet->hand_count = (uint8_t)count;
    for (i = 0; i < count; i++) {
        packet->hands[i].has_skeleton = false;
        error = handmap_decode_hand(data + header_bytes + i * hand_bytes, &packet->hands[i]);
        if (error != HANDMAP_OK) return error;
    }
    return handmap_decode_blocks(data, header_bytes + count * hand_bytes, end, packet);
}

/*
 * Reads the packet that one whole datagram holds; with keys, only one that was sealed with one of them, without, all.
 * What a newer minor version adds is skipped. A refused packet has no hands; nothing else of it is to be used either.
 */
HANDMAP_API handmap_error handmap_decode(const uint8_t *data, size_t size, const handmap_keys *keys,
                                         handmap_packet *packet)
{
    size_t body_bytes;
    handmap_error error = handmap_unseal(data, size, keys, &body_bytes);
    if (error == HANDMAP_OK) error = handmap_decode_body(data, body_bytes, packet);
    if (error != HANDMAP_OK) packet->hand_count = 0;
    return error;
}

/* ---- packets, written -------------------------------------------------------------------------------------------- */

/* A packet of joints without hands, all fields as most senders have them. */
HANDMAP_API void handmap_packet_init(handmap_packet *packet)
{
    memset(packet, 0, sizeof *packet);
    packet->minor = HANDMAP_MINOR;
    packet->message_type = HANDMAP_JOINTS_MESSAGE;
    packet->joint_order = HANDMAP_HAND21;
    packet->clock = HANDMAP_MONOTONIC;
    packet->part_count = 1;
}

/* The nearest integer, the even one of two; false if it is not within the limits or the value is not finite. */
HANDMAP_API bool handmap_rounded(float value, int min, int max, int *rounded)
{
    int whole;
    float rest;
    if (!(value > -40000.0f && value < 40000.0f)) return false;
    whole = (int)value;
    rest = value - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && whole % 2 != 0)) whole++;
    if (rest < -0.5f || (rest == -0.5f && whole % 2 != 0)) whole--;
    *rounded = whole;
    return whole >= min && whole <= max;
}

HANDMAP_API bool handmap_write_units(uint8_t *at, const float *values, int count, float units)
{
    int i, rounded;
    for (i = 0; i < count; i++) {
        if (!handmap_rounded(values[i] * units, -32767, 32767, &rounded)) return false;
        handmap_write_u16(at + 2 * i, (uint32_t)rounded & 0xFFFFu);
    }
    return true;
}

HANDMAP_API handmap_error handmap_encode_skeleton(const handmap_skeleton *skeleton, int hand_index, uint8_t *at)
{
    uint8_t *content = at + HANDMAP_BLOCK_BYTES, *shares = content + 172;
    int i, rounded;
    at[0] = 1;
    at[1] = (uint8_t)hand_index;
    handmap_write_u16(at + 2, HANDMAP_SKELETON_BYTES);
    for (i = 0; i < HANDMAP_TURNS; i++)
        if (!handmap_write_units(content + 8 * i, skeleton->quaternions[i], 4, 32767.0f)) return HANDMAP_OUT_OF_RANGE;
    if (!handmap_write_units(content + 128, skeleton->angles_rad, HANDMAP_ANGLES, 10000.0f))
        return HANDMAP_OUT_OF_RANGE;
    shares[4] = 0;
    for (i = 0; i < HANDMAP_PINCHES; i++) {
        if (!handmap_rounded(skeleton->pinch_strength[i] * 255.0f, 0, 255, &rounded)) return HANDMAP_OUT_OF_RANGE;
        shares[i] = (uint8_t)rounded;
        if (skeleton->is_pinching[i]) shares[4] = (uint8_t)(shares[4] | 1 << i);
    }
    if (!handmap_rounded(skeleton->grasp_closure * 255.0f, 0, 255, &rounded)) return HANDMAP_OUT_OF_RANGE;
    shares[5] = (uint8_t)rounded;
    shares[6] = skeleton->is_size_held ? 1 : 0;
    shares[7] = 0;
    if (!handmap_is_finite(skeleton->hand_length_m)) return HANDMAP_NOT_FINITE;
    if (!handmap_is_finite(skeleton->hand_length_error_m)) return HANDMAP_NOT_FINITE;
    handmap_write_float(content + 180, skeleton->hand_length_m);
    handmap_write_float(content + 184, skeleton->hand_length_error_m);
    return HANDMAP_OK;
}

HANDMAP_API handmap_error handmap_encode_hand(const handmap_hand *hand, uint8_t *at)
{
    bool is_finite = handmap_is_finite(hand->handedness_confidence) && handmap_is_finite(hand->confidence);
    int joint, k;
    handmap_write_u32(at, hand->track_id);
    at[4] = hand->handedness;
    at[5] = hand->flags;
    handmap_write_u16(at + 6, 0);
    handmap_write_float(at + 8, hand->handedness_confidence);
    handmap_write_float(at + 12, hand->confidence);
    for (joint = 0; joint < HANDMAP_JOINTS; joint++) {
        uint8_t *to = at + 16 + 16 * joint;
        for (k = 0; k < 3; k++) {
            is_finite &= handmap_is_finite(hand->xyz_m[joint][k]);
            handmap_write_float(to + 4 * k, hand->xyz_m[joint][k]);
        }
        is_finite &= handmap_is_finite(hand->expected_error_m[joint]);
        handmap_write_float(to + 12, hand->expected_error_m[joint]);
    }
    if (!is_finite) return HANDMAP_NOT_FINITE;
    return hand->handedness <= HANDMAP_RIGHT ? HANDMAP_OK : HANDMAP_UNKNOWN_HANDEDNESS;
}

/*
 * Writes a packet into `data`, which has `room` bytes (HANDMAP_MAX_BYTES are always enough), and gives its size, or 0
 * with an error. With keys it is sealed with the first one. Refuses what no receiver would accept.
 */
HANDMAP_API handmap_error handmap_encode(const handmap_packet *packet, const handmap_keys *keys, uint8_t *data,
                                         size_t room, size_t *size)
{
    size_t i, at = HANDMAP_HEADER_BYTES, body_bytes = HANDMAP_HEADER_BYTES;
    handmap_error error;
    *size = 0;
    if (packet->hand_count > HANDMAP_MAX_HANDS) return HANDMAP_DOES_NOT_FIT;
    for (i = 0; i < packet->hand_count; i++)
        body_bytes += packet->hands[i].has_skeleton
                          ? HANDMAP_HAND_BYTES + HANDMAP_BLOCK_BYTES + HANDMAP_SKELETON_BYTES
                          : HANDMAP_HAND_BYTES;
    error = handmap_can_seal(body_bytes, keys, room);
    if (error != HANDMAP_OK) return error;
    if (packet->part >= packet->part_count || packet->part_count > HANDMAP_MAX_PARTS) return HANDMAP_BAD_PART;
    if (packet->message_type != HANDMAP_JOINTS_MESSAGE && packet->message_type != HANDMAP_HEARTBEAT)
        return HANDMAP_UNKNOWN_TYPE;
    if (packet->joint_order != HANDMAP_HAND21) return HANDMAP_UNKNOWN_JOINT_ORDER;
    if (packet->frame_of_reference > HANDMAP_CONFIGURED_FRAME) return HANDMAP_UNKNOWN_FRAME;
    if (packet->clock != HANDMAP_MONOTONIC) return HANDMAP_UNKNOWN_CLOCK;
    memcpy(data, "HMAP", 4);
    data[4] = HANDMAP_MAJOR;
    data[5] = packet->minor;
    handmap_write_u16(data + 6, HANDMAP_HEADER_BYTES);
    data[8] = packet->message_type;
    data[9] = packet->hand_count;
    data[10] = packet->joint_order;
    data[11] = packet->precision;
    data[12] = 0;
    data[13] = packet->compatible;
    data[14] = packet->state;
    data[15] = packet->frame_of_reference;
    data[16] = packet->clock;
    data[17] = packet->timestamp_source;
    handmap_write_u16(data + 18, HANDMAP_HAND_BYTES);
    handmap_write_u32(data + 20, packet->stream_id);
    handmap_write_u32(data + 24, packet->sequence);
    handmap_write_u32(data + 28, packet->frame_number);
    handmap_write_i64(data + 32, packet->capture_ns);
    handmap_write_i64(data + 40, packet->publish_ns);
    memcpy(data + 48, packet->bundle_id, 8);
    data[56] = packet->part;
    data[57] = packet->part_count;
    handmap_write_u16(data + 58, packet->control_port);
    for (i = 0; i < packet->hand_count; i++, at += HANDMAP_HAND_BYTES) {
        error = handmap_encode_hand(&packet->hands[i], data + at);
        if (error != HANDMAP_OK) return error;
    }
    for (i = 0; i < packet->hand_count; i++) {
        if (!packet->hands[i].has_skeleton) continue;
        error = handmap_encode_skeleton(&packet->hands[i].skeleton, (int)i, data + at);
        if (error != HANDMAP_OK) return error;
        at += HANDMAP_BLOCK_BYTES + HANDMAP_SKELETON_BYTES;
    }
    *size = handmap_seal(data, at, keys);
    return HANDMAP_OK;
}

/* ---- control messages -------------------------------------------------------------------------------------------- */

/* A message of this type with this nonce and nothing else. */
HANDMAP_API void handmap_control_init(handmap_control *control, uint8_t message_type, uint64_t nonce)
{
    memset(control, 0, sizeof *control);
    control->message_type = message_type;
    control->nonce = nonce;
}

/* Reads the control message that one whole datagram holds, as handmap_decode reads packets. */
HANDMAP_API handmap_error handmap_decode_control(const uint8_t *data, size_t size, const handmap_keys *keys,
                                                 handmap_control *control)
{
    size_t body_bytes, header_bytes;
    handmap_error error = handmap_unseal(data, size, keys, &body_bytes);
    if (error != HANDMAP_OK) return error;
    if (body_bytes < HANDMAP_CONTROL_BYTES) return HANDMAP_TOO_SHORT;
    header_bytes = handmap_read_u16(data + 6);
    if (header_bytes < HANDMAP_CONTROL_BYTES || header_bytes > body_bytes) return HANDMAP_BAD_LENGTHS;
    if (data[8] < HANDMAP_PING || data[8] > HANDMAP_SNAPSHOT_TAKEN) return HANDMAP_UNKNOWN_TYPE;
    if (data[9] > HANDMAP_NOT_ALLOWED) return HANDMAP_UNKNOWN_STATUS;
    control->message_type = data[8];
    control->status = data[9];
    control->lease_s = handmap_read_u16(data + 10);
    control->stream_id = handmap_read_u32(data + 16);
    control->nonce = handmap_read_u64(data + 24);
    memcpy(control->token, data + 32, 16);
    control->client_ns = handmap_read_i64(data + 48);
    control->received_ns = handmap_read_i64(data + 56);
    control->sent_ns = handmap_read_i64(data + 64);
    control->info = data + header_bytes;
    control->info_bytes = body_bytes - header_bytes;
    return HANDMAP_OK;
}

/* Writes a control message, as handmap_encode writes packets. */
HANDMAP_API handmap_error handmap_encode_control(const handmap_control *control, const handmap_keys *keys,
                                                 uint8_t *data, size_t room, size_t *size)
{
    handmap_error error;
    *size = 0;
    if (control->message_type < HANDMAP_PING || control->message_type > HANDMAP_SNAPSHOT_TAKEN) return HANDMAP_UNKNOWN_TYPE;
    if (control->status > HANDMAP_NOT_ALLOWED) return HANDMAP_UNKNOWN_STATUS;
    if (control->info_bytes > HANDMAP_MAX_INFO_BYTES) return HANDMAP_DOES_NOT_FIT;
    error = handmap_can_seal(HANDMAP_CONTROL_BYTES + control->info_bytes, keys, room);
    if (error != HANDMAP_OK) return error;
    memset(data, 0, HANDMAP_CONTROL_BYTES);
    memcpy(data, "HMAP", 4);
    data[4] = HANDMAP_MAJOR;
    data[5] = HANDMAP_MINOR;
    handmap_write_u16(data + 6, HANDMAP_CONTROL_BYTES);
    data[8] = control->message_type;
    data[9] = control->status;
    handmap_write_u16(data + 10, control->lease_s);
    handmap_write_u32(data + 16, control->stream_id);
    handmap_write_u64(data + 24, control->nonce);
    memcpy(data + 32, control->token, 16);
    handmap_write_i64(data + 48, control->client_ns);
    handmap_write_i64(data + 56, control->received_ns);
    handmap_write_i64(data + 64, control->sent_ns);
    if (control->info_bytes > 0) memcpy(data + HANDMAP_CONTROL_BYTES, control->info, control->info_bytes);
    *size = handmap_seal(data, HANDMAP_CONTROL_BYTES + control->info_bytes, keys);
    return HANDMAP_OK;
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

/* a - b, which wraps instead of overflowing. */
HANDMAP_API int64_t handmap_minus(int64_t a, int64_t b)
{
    uint64_t bits = (uint64_t)a - (uint64_t)b;
    int64_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* a + b for b >= 0, at most the largest number. */
HANDMAP_API int64_t handmap_plus(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

/* Seconds, 0 or more, as ns; at most a century. */
HANDMAP_API int64_t handmap_ns_of(double seconds)
{
    double ns = seconds * 1e9, rest;
    int64_t whole;
    if (ns >= 3e18) return (int64_t)3000000000000000000;
    whole = (int64_t)ns;
    rest = ns - (double)whole;
    return rest > 0.5 || (rest == 0.5 && whole % 2 != 0) ? whole + 1 : whole;
}

/* ---- the order of packets ---------------------------------------------------------------------------------------- */

#define HANDMAP_MAX_STREAMS 4 /* remembered at a time; anybody can make up stream ids */
#define HANDMAP_MAX_LOST_PER_S 1000
#define HANDMAP_RESYNC_PACKETS 10
#define HANDMAP_RESYNC_NS 1000000000
#define HANDMAP_WINDOW 1024 /* packets behind the newest of which it is known whether they came */

/* Where one stream has got to, and the run of packets ignored since its newest one. */
typedef struct handmap_stream {
    uint32_t stream_id, sequence;
    int64_t received_ns; /* when the newest packet came */
    uint32_t ignored, ignored_sequence;
    uint32_t seen[HANDMAP_WINDOW / 32]; /* a bit for each of the last numbers, at its remainder */
} handmap_stream;

/* All streams heard of lately, the one heard last at the end, and totals. */
typedef struct handmap_streams {
    handmap_stream streams[HANDMAP_MAX_STREAMS];
    int count;
    bool has_key; /* only a stream that a PONG has named is accepted */
    bool is_proven;
    uint32_t proven_id;
    uint64_t received, restarts;
    uint64_t lost;     /* without those that came late after all */
    uint64_t late;     /* overtaken on the way, and skipped */
    uint64_t repeated;
    uint64_t unproven; /* of a stream that no PONG has named; a recording that is sent again stays here */
} handmap_streams;

/* What to do with a packet. */
typedef struct handmap_order {
    bool is_accepted;
    bool is_restart; /* the first packet of a new stream after another one */
    uint32_t lost_before; /* packets missing immediately before it */
} handmap_order;

/* No stream yet. A receiver with a key has_key. */
HANDMAP_API void handmap_streams_init(handmap_streams *streams, bool has_key)
{
    memset(streams, 0, sizeof *streams);
    streams->has_key = has_key;
}

/* With a key: the sender of this stream is there. Call it with the stream id of an authentic PONG that repeats the
   nonce of a PING of the last two seconds. From then on only this stream is accepted. */
HANDMAP_API void handmap_streams_prove(handmap_streams *streams, uint32_t stream_id)
{
    streams->is_proven = true;
    streams->proven_id = stream_id;
}

/* The longest jump of the sequence that is loss, after this long without a packet. */
HANDMAP_API int64_t handmap_longest_jump(int64_t waited_ns)
{
    int64_t ns_each = 1000000000 / HANDMAP_MAX_LOST_PER_S;
    return HANDMAP_MAX_LOST_PER_S + (waited_ns >= 0 ? waited_ns / ns_each : -((-(waited_ns + 1)) / ns_each) - 1);
}

HANDMAP_API void handmap_stream_start(handmap_stream *stream, uint32_t stream_id, uint32_t sequence, int64_t now_ns)
{
    memset(stream, 0, sizeof *stream);
    stream->stream_id = stream_id;
    stream->sequence = sequence;
    stream->received_ns = now_ns;
    memset(stream->seen, 0xFF, sizeof stream->seen); /* of what came before the first packet nothing is missed */
}

HANDMAP_API void handmap_stream_advance(handmap_stream *stream, uint32_t sequence, int64_t now_ns)
{
    uint32_t missing;
    if (sequence - stream->sequence >= HANDMAP_WINDOW) memset(stream->seen, 0, sizeof stream->seen);
    else
        for (missing = stream->sequence + 1; missing != sequence; missing++)
            stream->seen[missing % HANDMAP_WINDOW / 32] &= ~((uint32_t)1 << missing % 32);
    stream->seen[sequence % HANDMAP_WINDOW / 32] |= (uint32_t)1 << sequence % 32;
    stream->sequence = sequence;
    stream->received_ns = now_ns;
    stream->ignored = 0;
}

/* Judges the next packet of a known stream. *lost is how many are missing before it, or -1 for one that was missing and
   comes late. */
HANDMAP_API bool handmap_stream_judge(handmap_stream *stream, bool has_key, uint32_t sequence, int64_t now_ns,
                                      int64_t *lost, bool *is_repeated)
{
    uint32_t step = sequence - stream->sequence, from_ignored = sequence - stream->ignored_sequence, bit, *seen;
    int64_t waited_ns = handmap_minus(now_ns, stream->received_ns);
    *lost = 0;
    *is_repeated = step == 0;
    if (step == 0) return false;
    if (has_key ? step < 0x80000000u : (int64_t)step <= handmap_longest_jump(waited_ns)) {
        *lost = (int64_t)step - 1;
        handmap_stream_advance(stream, sequence, now_ns);
        return true;
    }
    if (!has_key) { /* with one, nothing brings back what is behind: it may be a recording */
        bool is_next = stream->ignored > 0 && from_ignored > 0 && from_ignored <= HANDMAP_MAX_LOST_PER_S;
        stream->ignored = is_next ? stream->ignored + 1 : 1;
        stream->ignored_sequence = sequence;
        if (waited_ns > HANDMAP_RESYNC_NS || stream->ignored >= HANDMAP_RESYNC_PACKETS) {
            handmap_stream_start(stream, stream->stream_id, sequence, now_ns);
            return true;
        }
    }
    if (stream->sequence - sequence >= HANDMAP_WINDOW) return false;
    seen = &stream->seen[sequence % HANDMAP_WINDOW / 32];
    bit = (uint32_t)1 << sequence % 32;
    *is_repeated = (*seen & bit) != 0;
    *lost = *is_repeated ? 0 : -1;
    *seen |= bit;
    return false;
}

/* Takes in a packet that came at now_ns of this machine's monotonic clock; use it only if it is accepted. */
HANDMAP_API handmap_order handmap_streams_take(handmap_streams *streams, const handmap_packet *packet, int64_t now_ns)
{
    handmap_order order = { false, false, 0 };
    handmap_stream taken;
    int64_t lost = 0;
    bool is_repeated = false;
    int i = 0;
    if (streams->has_key && (!streams->is_proven || packet->stream_id != streams->proven_id)) {
        streams->unproven++;
        return order;
    }
    while (i < streams->count && streams->streams[i].stream_id != packet->stream_id) i++;
    if (i < streams->count) {
        handmap_stream *known = &streams->streams[i];
        order.is_accepted =
            handmap_stream_judge(known, streams->has_key, packet->sequence, now_ns, &lost, &is_repeated);
        streams->lost += (uint64_t)lost; /* which may be -1 */
        if (!order.is_accepted) {
            *(is_repeated ? &streams->repeated : &streams->late) += 1;
            return order;
        }
        order.lost_before = (uint32_t)lost;
        taken = *known;
    } else {
        handmap_stream_start(&taken, packet->stream_id, packet->sequence, now_ns);
        order.is_accepted = true;
        order.is_restart = streams->count > 0;
        if (streams->count == HANDMAP_MAX_STREAMS) i = 0; /* the one not heard for longest is forgotten */
        else streams->count++;
    }
    for (; i < streams->count - 1; i++) streams->streams[i] = streams->streams[i + 1];
    streams->streams[streams->count - 1] = taken;
    streams->received++;
    streams->restarts += order.is_restart ? 1 : 0;
    return order;
}

/* The hands of a frame that was sent in several datagrams, collected. Start with all bytes 0. */
typedef struct handmap_frame {
    uint32_t stream_id, frame_number;
    uint8_t next_part, part_count; /* next_part 0: none is begun */
    int hand_count;
    uint64_t incomplete; /* frames with a part missing */
    handmap_hand hands[HANDMAP_MAX_HANDS * HANDMAP_MAX_PARTS];
} handmap_frame;

/* Takes in an accepted packet; true once the frame that it belongs to is whole, so that the hands are all of that
   frame's. A heartbeat is a frame without hands. */
HANDMAP_API bool handmap_frame_join(handmap_frame *frame, const handmap_packet *packet)
{
    bool is_next = packet->part > 0 && packet->part == frame->next_part && packet->part_count == frame->part_count &&
                   packet->stream_id == frame->stream_id && packet->frame_number == frame->frame_number;
    if (!is_next) {
        frame->incomplete += frame->next_part > 0 ? 1 : 0;
        frame->next_part = 0;
        if (packet->part > 0) return false;
        frame->hand_count = 0;
        frame->stream_id = packet->stream_id;
        frame->frame_number = packet->frame_number;
        frame->part_count = packet->part_count;
    }
    memcpy(&frame->hands[frame->hand_count], packet->hands, packet->hand_count * sizeof packet->hands[0]);
    frame->hand_count += packet->hand_count;
    frame->next_part = (uint8_t)(packet->part + 1 < packet->part_count ? packet->part + 1 : 0);
    return frame->next_part == 0;
}

/* ---- one hand as a program should see it ------------------------------------------------------------------------- */

typedef enum handmap_phase { HANDMAP_LIVE, HANDMAP_HELD, HANDMAP_RELAXING } handmap_phase;

/* Seconds: stale_s without news a hand is lost, hold_s longer it is held, then it is let go within relax_s; engage_s to
   take it up. */
typedef struct handmap_timing {
    double stale_s, hold_s, relax_s, engage_s;
} handmap_timing;

/*
 * A hand as last heard of. xyz_m are the joints to go to: those of the hand, or on the way to them from where the last
 * one was held. engagement says how far to follow them, 0 to 1: rest + engagement * (xyz_m - rest). epoch changes when
 * this is another hand, or one taken up again: start filters over then.
 */
typedef struct handmap_held {
    handmap_hand hand;
    float xyz_m[HANDMAP_JOINTS][3];
    handmap_phase phase;
    double engagement;
    double age_s; /* since the hand was heard of */
    uint32_t epoch;
} handmap_held;

typedef struct handmap_hand_state {
    handmap_timing timing;
    uint8_t handedness;
    bool is_there, is_lost, has_from;
    handmap_held held;
    uint32_t stream_id, epoch;
    int64_t heard_ns, lost_ns, now_ns;
    float from_m[HANDMAP_JOINTS][3]; /* where the hand is approached from */
    double approach; /* how far it has been approached */
} handmap_hand_state;

/* The times that handmap's own receiver uses. */
HANDMAP_API handmap_timing handmap_default_timing(void)
{
    handmap_timing timing = { 0.1, 0.25, 1.0, 0.3 };
    return timing;
}

HANDMAP_API bool handmap_is_time(double seconds) { return seconds >= 0 && seconds <= DBL_MAX; }

/* The state of a person's left or right hand, or with HANDMAP_EITHER_HAND of whichever is seen first. */
HANDMAP_API handmap_error handmap_hand_state_init(handmap_hand_state *state, uint8_t handedness, handmap_timing timing)
{
    memset(state, 0, sizeof *state);
    if (handedness > HANDMAP_RIGHT) return HANDMAP_UNKNOWN_HANDEDNESS;
    if (!handmap_is_time(timing.stale_s) || !handmap_is_time(timing.hold_s)) return HANDMAP_BAD_TIMING;
    if (!handmap_is_time(timing.relax_s) || !handmap_is_time(timing.engage_s)) return HANDMAP_BAD_TIMING;
    state->timing = timing;
    state->handedness = handedness;
    state->approach = 1;
    return HANDMAP_OK;
}

HANDMAP_API double handmap_share(double elapsed_s, double whole_s)
{
    return elapsed_s <= 0 ? 0 : whole_s > 0 ? elapsed_s / whole_s : 1;
}

HANDMAP_API void handmap_approach(const handmap_hand_state *state, const handmap_hand *hand,
                                  float xyz_m[HANDMAP_JOINTS][3])
{
    float share = (float)state->approach;
    int joint, k;
    for (joint = 0; joint < HANDMAP_JOINTS; joint++)
        for (k = 0; k < 3; k++) {
            float from = state->from_m[joint][k], to = hand->xyz_m[joint][k];
            xyz_m[joint][k] = state->has_from && state->approach < 1 ? from + share * (to - from) : to;
        }
}

/* The hand at this time of the monotonic clock, or NULL once it has been let go, or before any was seen. A time before
   the last one counts as that. The pointer is good until the state is used again. */
HANDMAP_API const handmap_held *handmap_hand_state_at(handmap_hand_state *state, int64_t now_ns)
{
    int64_t before_ns = state->now_ns, lost_ns, let_go_ns, live_ns, relaxing_ns;
    handmap_held *held = &state->held;
    double engaged;
    if (now_ns < before_ns) now_ns = before_ns;
    state->now_ns = now_ns;
    if (!state->is_there) return NULL;
    lost_ns = handmap_plus(state->heard_ns, handmap_ns_of(state->timing.stale_s));
    if (state->is_lost && state->lost_ns < lost_ns) lost_ns = state->lost_ns;
    let_go_ns = handmap_plus(lost_ns, handmap_ns_of(state->timing.hold_s));
    live_ns = handmap_minus(now_ns < lost_ns ? now_ns : lost_ns, before_ns);
    relaxing_ns = handmap_minus(now_ns, let_go_ns > before_ns ? let_go_ns : before_ns);
    engaged = handmap_share((double)live_ns / 1e9, state->timing.engage_s);
    state->approach += engaged;
    if (!(state->approach < 1)) state->approach = 1;
    held->engagement += engaged;
    if (!(held->engagement < 1)) held->engagement = 1;
    held->engagement -= handmap_share((double)relaxing_ns / 1e9, state->timing.relax_s);
    if (!(held->engagement > 0)) held->engagement = 0;
    held->phase = now_ns < lost_ns ? HANDMAP_LIVE : now_ns < let_go_ns ? HANDMAP_HELD : HANDMAP_RELAXING;
    held->age_s = (double)handmap_minus(now_ns, state->heard_ns) / 1e9;
    if (held->phase == HANDMAP_LIVE) handmap_approach(state, &held->hand, held->xyz_m);
    if (held->phase == HANDMAP_RELAXING && !(held->engagement > 0)) state->is_there = false;
    return state->is_there ? held : NULL;
}

HANDMAP_API void handmap_hand_state_lose(handmap_hand_state *state, int64_t now_ns)
{
    if (!state->is_lost) state->lost_ns = now_ns;
    state->is_lost = true;
    (void)handmap_hand_state_at(state, now_ns);
}

/* The hand of this side that is seen and not guessed, or NULL: the one that is followed already, else the surest. */
HANDMAP_API const handmap_hand *handmap_chosen(const handmap_hand_state *state, const handmap_hand *hands,
                                               int hand_count)
{
    const handmap_hand *best = NULL;
    bool is_best_followed = false;
    int i;
    for (i = 0; i < hand_count; i++) {
        const handmap_hand *hand = &hands[i];
        bool is_followed = state->is_there && hand->track_id == state->held.hand.track_id;
        if (!(hand->flags & HANDMAP_VALID)) continue;
        if (state->handedness != HANDMAP_EITHER_HAND && state->handedness != hand->handedness) continue;
        if (best == NULL || (is_followed && !is_best_followed) ||
            (is_followed == is_best_followed && hand->confidence > best->confidence)) {
            best = hand;
            is_best_followed = is_followed;
        }
    }
    return best;
}

/* As handmap_hand_state_see, with the hands of a frame of several parts, of which the packet is the last. */
HANDMAP_API void handmap_hand_state_see_hands(handmap_hand_state *state, const handmap_packet *packet,
                                              const handmap_hand *hands, int hand_count, int64_t received_ns)
{
    bool is_seeing = packet->state == HANDMAP_TRACKING || packet->state == HANDMAP_DEGRADED, is_same;
    const handmap_hand *hand;
    handmap_held *held = &state->held;
    (void)handmap_hand_state_at(state, received_ns);
    if (packet->message_type == HANDMAP_HEARTBEAT && is_seeing) return;
    hand = packet->message_type != HANDMAP_HEARTBEAT && is_seeing ? handmap_chosen(state, hands, hand_count) : NULL;
    if (hand == NULL) {
        handmap_hand_state_lose(state, received_ns);
        return;
    }
    is_same = state->is_there && held->phase != HANDMAP_RELAXING && held->hand.track_id == hand->track_id &&
              state->stream_id == packet->stream_id;
    if (!is_same) {
        state->epoch++;
        state->has_from = state->is_there;
        state->approach = state->is_there ? 0 : 1;
        if (state->is_there) memcpy(state->from_m, held->xyz_m, sizeof state->from_m);
    }
    if (!state->is_there) held->engagement = 0;
    held->hand = *hand;
    handmap_approach(state, hand, held->xyz_m);
    held->phase = HANDMAP_LIVE;
    held->age_s = 0;
    held->epoch = state->epoch;
    state->is_there = true;
    state->is_lost = false;
    state->stream_id = packet->stream_id;
    state->heard_ns = received_ns;
}

/*
 * Takes in an accepted packet that came at received_ns of the monotonic clock. One without this hand says that the hand
 * is lost; a heartbeat says so only in a state in which the daemon sees no hands. For a packet with a part_count above
 * 1 use handmap_frame_join and handmap_hand_state_see_hands.
 */
HANDMAP_API void handmap_hand_state_see(handmap_hand_state *state, const handmap_packet *packet, int64_t received_ns)
{
    handmap_hand_state_see_hands(state, packet, packet->hands, packet->hand_count, received_ns);
}

/* ---- the daemon's clock ------------------------------------------------------------------------------------------ */

#define HANDMAP_MIN_EXCHANGES 4 /* a first one alone can be off by half a round trip */
#define HANDMAP_DRIFT_PARTS 10000 /* clocks drift apart by at most a ten-thousandth of a time */

/* Bounds of how far the daemon's clock is ahead, when the last PONG came. Start with all bytes 0. */
typedef struct handmap_clock {
    int64_t least_ns, most_ns, arrived_ns;
    uint32_t exchanges;
} handmap_clock;

/* The bounds at this time: the older, the looser. */
HANDMAP_API void handmap_clock_bounds(const handmap_clock *clock, int64_t now_ns, int64_t *least_ns, int64_t *most_ns)
{
    int64_t age_ns = handmap_minus(now_ns, clock->arrived_ns);
    int64_t loosened_ns = age_ns > 0 ? age_ns / HANDMAP_DRIFT_PARTS : 0;
    *least_ns = handmap_minus(clock->least_ns, loosened_ns);
    *most_ns = handmap_plus(clock->most_ns, loosened_ns);
}

/* Takes in a PONG that came at now_ns of this machine's clock, the one of its client_ns. One that contradicts those
   before it replaces them: a clock was set, or the daemon's machine started again. */
HANDMAP_API void handmap_clock_see(handmap_clock *clock, const handmap_control *pong, int64_t now_ns)
{
    int64_t least_ns, most_ns, round_trip_ns = handmap_minus(now_ns, pong->client_ns);
    int64_t drift_ns = round_trip_ns > 0 ? round_trip_ns / HANDMAP_DRIFT_PARTS : 0;
    int64_t new_least_ns = handmap_minus(pong->sent_ns, now_ns);
    int64_t new_most_ns = handmap_plus(handmap_minus(pong->received_ns, pong->client_ns), drift_ns);
    handmap_clock_bounds(clock, now_ns, &least_ns, &most_ns);
    if (least_ns < new_least_ns) least_ns = new_least_ns;
    if (most_ns > new_most_ns) most_ns = new_most_ns;
    if (clock->exchanges > 0 && least_ns <= most_ns) {
        clock->exchanges += clock->exchanges < HANDMAP_MIN_EXCHANGES ? 1 : 0;
    } else {
        clock->exchanges = 1;
        least_ns = new_least_ns;
        most_ns = new_most_ns;
    }
    clock->least_ns = least_ns;
    clock->most_ns = most_ns;
    clock->arrived_ns = now_ns;
}

/* How far the daemon's clock is ahead of this machine's, and how far off that is at most; false while too little is
   known. A capture time on this machine's clock is capture_ns - *ahead_ns. On one machine both clocks are the same. */
HANDMAP_API bool handmap_clock_ahead(const handmap_clock *clock, int64_t now_ns, int64_t *ahead_ns, int64_t *error_ns)
{
    int64_t least_ns, most_ns;
    if (clock->exchanges < HANDMAP_MIN_EXCHANGES) return false;
    handmap_clock_bounds(clock, now_ns, &least_ns, &most_ns);
    *error_ns = most_ns / 2 - least_ns / 2;
    *ahead_ns = handmap_minus(most_ns, *error_ns);
    return true;
}

#endif
