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
    OBLIQ_NO_ROOM = 9,       /* the room for the result is smaller than the base, or pages have no bytes */
    OBLIQ_NOT_WRITTEN = 10,  /* the memory for the result refused a page */
    OBLIQ_NOT_SIGNED = 11,   /* no signature, or one that the device's check refuses */
    OBLIQ_EXPIRED = 12       /* the time at which it expires has come */
};

/* For `now`, from a device without a clock that it trusts: patches that have expired are applied, too. A clock that was
 * never set, or that a stranger can set, is none. */
#define OBLIQ_NO_CLOCK ((const uint64_t *)0)

/* How far behind its page a change may reach. */
#define OBLIQ_OVERHANG 8

/* Where a device writes the result: flash memory whose pages are written once each, in ascending order, and which can
 * be read at an address of its own. */
struct obliq_slot {
    const uint8_t *bytes; /* where what was written can be read */
    size_t room;          /* bytes from there on */
    uint8_t *page;        /* working memory of `page_size` + OBLIQ_OVERHANG bytes */
    size_t page_size;     /* of what is written at once; the last page may be shorter */
    int (*write)(void *context, size_t at, const uint8_t *page, size_t length); /* 0 when the page is written */
    void *context;        /* is given to `write` */
};

/* Write the new image of a network beside the old one, a page at a time.
 *
 * Neither image is in working memory: base and slot may be flash memory, and must not overlap. What has been written is
 * a network only after OBLIQ_APPLIED: the answer comes when all of it was read back and has the digest that the patch
 * promises. After any other answer the slot is to be erased. The rest is as for obliq_patch_apply. */
enum obliq_answer obliq_patch_write(const uint8_t *patch, size_t patch_length, const uint8_t *base,
                                    size_t base_length, uint64_t floor, const uint64_t *now,
                                    const struct obliq_slot *slot);

/* Make the new image of a network from the old one, both in working memory.
 *
 * The result has as many bytes as the base; `result` must have room for them and must not overlap the other
 * buffers. `floor` is the sequence number of the newest network that was confirmed on this device, 0 for
 * none. `now` points to the seconds since 1970 (UTC), or is OBLIQ_NO_CLOCK; a patch that expires is refused in that
 * second and later. A time that could not be read, cast from -1, refuses every such patch. On any answer but
 * OBLIQ_APPLIED the result's bytes are zero as far as they were written. */
enum obliq_answer obliq_patch_apply(const uint8_t *patch, size_t patch_length, const uint8_t *base,
                                    size_t base_length, uint64_t floor, const uint64_t *now, uint8_t *result,
                                    size_t room);

/* The signature of a patch, and how this device checks it: with the Ed25519 of its boot loader or its crypto element. */
struct obliq_signature {
    const uint8_t *bytes; /* 64 for Ed25519 */
    size_t length;
    /* 0 when the holder of a trusted key signed exactly this message; anything else refuses the patch */
    int (*verify)(void *context, const uint8_t *message, size_t message_length, const uint8_t *signature,
                  size_t signature_length);
    void *context; /* is given to `verify` */
};

/* As obliq_patch_write and obliq_patch_apply, after the signature of the patch was checked. Nothing else looks at the
 * patch before. Without a signature or a check the answer is OBLIQ_NOT_SIGNED. */
enum obliq_answer obliq_patch_write_signed(const struct obliq_signature *signature, const uint8_t *patch,
                                           size_t patch_length, const uint8_t *base, size_t base_length,
                                           uint64_t floor, const uint64_t *now, const struct obliq_slot *slot);
enum obliq_answer obliq_patch_apply_signed(const struct obliq_signature *signature, const uint8_t *patch,
                                           size_t patch_length, const uint8_t *base, size_t base_length,
                                           uint64_t floor, const uint64_t *now, uint8_t *result, size_t room);

/* The digest of the content of an image, which does not depend on how codes are packed. */
enum obliq_answer obliq_content_digest(const uint8_t *image, size_t length, uint8_t digest[OBLIQ_DIGEST]);

/* SHA-256 of some bytes. */
void obliq_sha256(const uint8_t *data, size_t length, uint8_t digest[OBLIQ_DIGEST]);

#endif
