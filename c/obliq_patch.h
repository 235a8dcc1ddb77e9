/* Applying a patch on a device: docs/patch-format.md in C99, ported from src/obliq/patch/decoder.py.
 *
 * No allocation, no recursion, no floating point and no state outside the caller's buffers. The largest
 * local state is the table of adaptive bits, about 2.4 KB. Any input is safe: whatever the bytes hold,
 * nothing is read or written outside the given buffers.
 */
#ifndef OBLIQ_PATCH_H
#define OBLIQ_PATCH_H

#include <stddef.h>
#include <stdint.h>

#define OBLIQ_DIGEST 32

enum obliq_answer {
    OBLIQ_APPLIED = 0,
    OBLIQ_DAMAGED = 1,       /* no patch, cut off, or altered */
    OBLIQ_NEWER_FORMAT = 2,  /* a format version that this decoder does not know */
    OBLIQ_BELOW_FLOOR = 3,   /* its sequence number is not above the floor: a rollback */
    OBLIQ_OTHER_NETWORK = 4, /* made for a network of another form */
    OBLIQ_WRONG_BASE = 5,    /* made from other values than the base has */
    OBLIQ_BAD_IMAGE = 6,     /* the base is no image of a network */
    OBLIQ_BAD_STREAM = 7,    /* whole, but made by something else than an encoder */
    OBLIQ_WRONG_RESULT = 8,  /* it leads to another network than it promises */
    OBLIQ_NO_ROOM = 9        /* the buffer for the result is smaller than the base */
};

/* Make the new image of a network from the old one.
 *
 * The result has as many bytes as the base; `result` must have room for them and must not overlap the other
 * buffers. `floor` is the sequence number of the newest network that was confirmed on this device, 0 for
 * none. On any answer but OBLIQ_APPLIED the result's bytes are zero as far as they were written. */
enum obliq_answer obliq_patch_apply(const uint8_t *patch, size_t patch_length, const uint8_t *base,
                                    size_t base_length, uint64_t floor, uint8_t *result, size_t room);

/* The digest of the content of an image, which does not depend on how codes are packed. */
enum obliq_answer obliq_content_digest(const uint8_t *image, size_t length, uint8_t digest[OBLIQ_DIGEST]);

/* SHA-256 of some bytes. */
void obliq_sha256(const uint8_t *data, size_t length, uint8_t digest[OBLIQ_DIGEST]);

#endif
