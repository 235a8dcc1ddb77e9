#include "obliq_patch.h"

#include <string.h>

#include "obliq_sha256.h"

enum { IMAGE_HEAD = 16, RECORD_HEAD = 8, PATCH_HEAD = 120, EXPIRY = 8 };
enum { WORDS = 0, CODES = 1 };
enum { TABLE = 0, DISTANCE = 256, GAP = 512, SIGN = 532, SIZE = 538, BITS = 586, SLOWEST = 255 };
#define LONGEST_LABEL 4096u
#define MOST_RECORDS 100000u
#define LARGEST_IMAGE 0x7fffffffu

/* ---- numbers in bytes ---- */

static uint64_t little(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

static void put_little(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

/* ---- the image of a network ---- */

struct record {
    unsigned kind, width; /* bits of a code, bytes of a word */
    uint32_t elements;
    const uint8_t *head; /* the record's head, which its label follows */
    size_t label, start, size;
};

/* Read the record at `*at` and step over it. */
static enum obliq_answer next_record(const uint8_t *image, size_t length, size_t *at, struct record *record)
{
    uint64_t size;
    int known;
    if (length - *at < RECORD_HEAD)
        return OBLIQ_BAD_IMAGE;
    record->head = image + *at;
    record->label = (size_t)little(record->head, 2);
    record->kind = record->head[2];
    record->width = record->head[3];
    record->elements = (uint32_t)little(record->head + 4, 4);
    if (record->kind == CODES) {
        known = record->width >= 2 && record->width <= 8;
        size = ((uint64_t)record->elements * record->width + 7) / 8;
    } else {
        known = record->kind == WORDS && (record->width == 1 || record->width == 2 || record->width == 4 ||
                                          record->width == 8);
        size = (uint64_t)record->elements * record->width;
    }
    if (!known || record->label > LONGEST_LABEL || record->label + size > length - *at - RECORD_HEAD)
        return OBLIQ_BAD_IMAGE;
    record->start = *at + RECORD_HEAD + record->label;
    record->size = (size_t)size;
    *at = record->start + record->size;
    return OBLIQ_APPLIED;
}

static enum obliq_answer check_image(const uint8_t *image, size_t length, uint32_t *count)
{
    static const uint8_t MAGIC[8] = {'O', 'B', 'Q', 'N', 1, 0, 0, 0};
    size_t at = IMAGE_HEAD;
    struct record record;
    if (length < IMAGE_HEAD || length > LARGEST_IMAGE || memcmp(image, MAGIC, sizeof MAGIC) != 0 ||
        little(image + 12, 4) != length)
        return OBLIQ_BAD_IMAGE;
    *count = (uint32_t)little(image + 8, 4);
    if (*count > MOST_RECORDS)
        return OBLIQ_BAD_IMAGE;
    for (uint32_t i = 0; i < *count; i++)
        if (next_record(image, length, &at, &record) != OBLIQ_APPLIED)
            return OBLIQ_BAD_IMAGE;
    return at == length ? OBLIQ_APPLIED : OBLIQ_BAD_IMAGE;
}

/* How many bytes hold a code: the one at `at` in its record and perhaps the next. */
static unsigned code_bytes(const struct record *record, size_t at)
{
    return at + 1 < record->size ? 2 : 1;
}

static int get_code(const uint8_t *at, unsigned bytes, unsigned width, unsigned shift)
{
    unsigned half = 1u << (width - 1), pair = (unsigned)little(at, bytes);
    return (int)((pair >> shift & (2u * half - 1u)) ^ half) - (int)half;
}

static void put_code(uint8_t *at, unsigned bytes, unsigned width, unsigned shift, int code)
{
    uint64_t mask = ((uint64_t)1 << width) - 1;
    put_little(at, bytes, (little(at, bytes) & ~(mask << shift)) | ((uint64_t)(unsigned)code & mask) << shift);
}

static void digest_content(const uint8_t *image, size_t length, uint32_t count, uint8_t digest[OBLIQ_DIGEST])
{
    struct obliq_sha256 hash;
    struct record record;
    size_t at = IMAGE_HEAD;
    obliq_sha256_start(&hash);
    for (uint32_t i = 0; i < count && next_record(image, length, &at, &record) == OBLIQ_APPLIED; i++) {
        obliq_sha256_add(&hash, record.head + RECORD_HEAD, record.label);
        if (record.kind == WORDS || record.width == 8) {
            obliq_sha256_add(&hash, image + record.start, record.size);
            continue;
        }
        for (uint32_t element = 0; element < record.elements;) {
            uint8_t codes[64];
            size_t filled = 0;
            for (; filled < sizeof codes && element < record.elements; element++) {
                uint64_t bit = (uint64_t)element * record.width;
                size_t at_code = (size_t)(bit / 8);
                codes[filled++] = (uint8_t)get_code(image + record.start + at_code, code_bytes(&record, at_code),
                                                    record.width, (unsigned)(bit % 8));
            }
            obliq_sha256_add(&hash, codes, filled);
        }
    }
    obliq_sha256_finish(&hash, digest);
}

static void digest_form(const uint8_t *image, size_t length, uint32_t count, uint8_t digest[OBLIQ_DIGEST])
{
    struct obliq_sha256 hash;
    struct record record;
    size_t at = IMAGE_HEAD;
    obliq_sha256_start(&hash);
    for (uint32_t i = 0; i < count && next_record(image, length, &at, &record) == OBLIQ_APPLIED; i++) {
        uint8_t head[RECORD_HEAD];
        memcpy(head, record.head, RECORD_HEAD);
        if (record.kind == CODES)
            head[3] = 0; /* however narrow they are stored */
        obliq_sha256_add(&hash, head, RECORD_HEAD);
        obliq_sha256_add(&hash, record.head + RECORD_HEAD, record.label);
    }
    obliq_sha256_finish(&hash, digest);
}

/* ---- the stream: a binary range decoder. `bad` is set once and for all when the bytes make no sense. ---- */

struct stream {
    const uint8_t *data;
    size_t length, at;
    uint32_t range, code;
    uint32_t bits[BITS]; /* probability of a zero in the upper 24 bits, how many were seen in the lower 8 */
    int bad;
};

static void start(struct stream *stream, const uint8_t *data, size_t length)
{
    memset(stream, 0, sizeof *stream);
    stream->data = data;
    stream->length = length;
    stream->range = 0xffffffffu;
    for (unsigned i = 0; i < BITS; i++)
        stream->bits[i] = (uint32_t)1 << 31;
    if (length < 4) {
        stream->bad = 1;
        return;
    }
    for (; stream->at < 4; stream->at++)
        stream->code = stream->code << 8 | data[stream->at];
}

static void take(struct stream *stream)
{
    while (stream->range < (uint32_t)1 << 24 && !stream->bad) {
        if (stream->at == stream->length) {
            stream->bad = 1;
            return;
        }
        stream->range <<= 8;
        stream->code = stream->code << 8 | stream->data[stream->at++];
    }
}

static unsigned adaptive(struct stream *stream, unsigned which)
{
    uint32_t zero = stream->bits[which] >> 8, seen = stream->bits[which] & 255;
    uint32_t bound = (stream->range >> 16) * (zero >> 8);
    unsigned bit = stream->code >= bound;
    if (bit) {
        stream->range -= bound;
        stream->code -= bound;
        zero -= 2 * zero / (2 * seen + 3);
    } else {
        stream->range = bound;
        zero += 2 * (((uint32_t)1 << 24) - zero) / (2 * seen + 3);
    }
    stream->bits[which] = zero << 8 | (seen < SLOWEST ? seen + 1 : SLOWEST);
    take(stream);
    return bit;
}

static uint64_t plain(struct stream *stream, unsigned count)
{
    uint64_t value = 0;
    while (count-- > 0) {
        unsigned bit;
        stream->range >>= 1;
        bit = stream->code >= stream->range;
        if (bit)
            stream->code -= stream->range;
        value = value << 1 | bit;
        take(stream);
    }
    return value;
}

static uint64_t ones(struct stream *stream, unsigned family, uint64_t distinct, uint64_t most)
{
    uint64_t count = 0;
    while (!stream->bad && adaptive(stream, family + (unsigned)(count < distinct ? count : distinct)))
        if (++count > most)
            stream->bad = 1;
    return stream->bad ? 0 : count;
}

static uint64_t below_leading_one(struct stream *stream, unsigned family, unsigned count)
{
    uint64_t value = 1;
    for (unsigned i = 0; i < 2 && count > 0; i++, count--)
        value = value << 1 | adaptive(stream, family + (unsigned)value - 1);
    return value << count | plain(stream, count);
}

static uint64_t number(struct stream *stream, unsigned family)
{
    unsigned length = (unsigned)ones(stream, family, 63, 63);
    return below_leading_one(stream, family + 64 + 3 * length, length) - 1;
}

static uint64_t gap(struct stream *stream, unsigned family, unsigned shift, uint64_t most)
{
    uint64_t quotient = ones(stream, family, 3, most);
    uint64_t rest = below_leading_one(stream, family + 4 + (quotient > 0 ? 3 : 0), shift);
    return (quotient << shift) + (rest - ((uint64_t)1 << shift));
}

static int code_step(struct stream *stream, int old)
{
    int near = old < -2 ? -2 : old > 2 ? 2 : old;
    unsigned down = adaptive(stream, (unsigned)(SIGN + 2 + near));
    int size = 1 + (int)ones(stream, (unsigned)(SIZE + 16 * (near < 0 ? -near : near)), 15, 254);
    return down ? -size : size;
}

/* ---- the result, page by page ---- */

struct writer {
    const uint8_t *base;
    size_t length, done, loaded; /* of the base; what is written; where the bytes end that are in working memory */
    const struct obliq_slot *slot;
    int failed;
};

/* Fill working memory from the base: the page after `done`, and OBLIQ_OVERHANG bytes that a change may reach into. */
static void load(struct writer *writer)
{
    size_t held = writer->loaded - writer->done, room = writer->slot->page_size + OBLIQ_OVERHANG - held;
    size_t bytes = writer->length - writer->loaded < room ? writer->length - writer->loaded : room;
    memcpy(writer->slot->page + held, writer->base + writer->loaded, bytes);
    writer->loaded += bytes;
}

static void next_page(struct writer *writer)
{
    size_t left = writer->length - writer->done;
    size_t bytes = left < writer->slot->page_size ? left : writer->slot->page_size;
    if (writer->slot->write(writer->slot->context, writer->done, writer->slot->page, bytes) != 0) {
        writer->failed = 1;
        return;
    }
    writer->done += bytes;
    memmove(writer->slot->page, writer->slot->page + bytes, writer->loaded - writer->done);
    load(writer);
}

/* The bytes of the result at `at`, in working memory; those of all pages before have been written. NULL if not. */
static uint8_t *reach(struct writer *writer, size_t at)
{
    while (at - writer->done >= writer->slot->page_size && !writer->failed)
        next_page(writer);
    return writer->failed ? NULL : writer->slot->page + (at - writer->done);
}

/* ---- a patch ---- */

/* Change the elements of one record that the stream names, in ascending order. */
static int change(struct writer *writer, const struct record *record, struct stream *stream)
{
    uint64_t left = number(stream, TABLE), position = 0;
    unsigned shift = (unsigned)plain(stream, 5);
    if (stream->bad || left >= record->elements)
        return 0;
    for (left++; left > 0; left--, position++) {
        position += gap(stream, (unsigned)GAP + 10 * record->kind, shift, record->elements);
        if (stream->bad || position >= record->elements)
            return 0;
        if (record->kind == CODES) {
            uint64_t bit = position * record->width;
            size_t at = (size_t)(bit / 8);
            unsigned bytes = code_bytes(record, at), within = (unsigned)(bit % 8);
            uint8_t *place = reach(writer, record->start + at);
            int half = 1 << (record->width - 1), old, code;
            if (place == NULL)
                return 0;
            old = get_code(place, bytes, record->width, within);
            code = old + code_step(stream, old);
            if (stream->bad || code < -half || code >= half)
                return 0;
            put_code(place, bytes, record->width, within, code);
        } else {
            uint8_t *place = reach(writer, record->start + (size_t)position * record->width);
            unsigned down = adaptive(stream, SIGN + 5);
            uint64_t size = 1 + number(stream, DISTANCE);
            if (place == NULL)
                return 0;
            put_little(place, record->width, little(place, record->width) + (down ? (uint64_t)0 - size : size));
        }
    }
    return !stream->bad;
}

static enum obliq_answer follow(const uint8_t *data, size_t length, uint64_t changed, uint32_t count,
                                struct writer *writer)
{
    struct stream stream;
    struct record record;
    size_t at = IMAGE_HEAD;
    uint32_t passed = 0;
    start(&stream, data, length);
    while (changed-- > 0) {
        uint64_t skip = number(&stream, TABLE);
        if (stream.bad || skip >= count - passed)
            return OBLIQ_BAD_STREAM;
        for (passed += (uint32_t)skip + 1, skip++; skip > 0; skip--)
            if (next_record(writer->base, writer->length, &at, &record) != OBLIQ_APPLIED)
                return OBLIQ_BAD_IMAGE;
        if (!change(writer, &record, &stream))
            return writer->failed ? OBLIQ_NOT_WRITTEN : OBLIQ_BAD_STREAM;
    }
    if (stream.bad || stream.at != length)
        return OBLIQ_BAD_STREAM;
    while (writer->done < writer->length && !writer->failed)
        next_page(writer);
    return writer->failed ? OBLIQ_NOT_WRITTEN : OBLIQ_APPLIED;
}

/* Bytes before the stream: version 2 has there, after the head, the time from which on the patch is refused. */
static size_t before_stream(const uint8_t *patch)
{
    return little(patch + 4, 4) == 2 ? PATCH_HEAD + EXPIRY : PATCH_HEAD;
}

static enum obliq_answer check_patch(const uint8_t *patch, size_t length, uint64_t floor, const uint64_t *now)
{
    uint64_t version;
    uint8_t digest[OBLIQ_DIGEST];
    if (length < PATCH_HEAD + OBLIQ_DIGEST || memcmp(patch, "OBQP", 4) != 0 ||
        little(patch + 116, 4) != length - PATCH_HEAD - OBLIQ_DIGEST)
        return OBLIQ_DAMAGED;
    obliq_sha256(patch, length - OBLIQ_DIGEST, digest);
    if (memcmp(digest, patch + length - OBLIQ_DIGEST, OBLIQ_DIGEST) != 0)
        return OBLIQ_DAMAGED;
    version = little(patch + 4, 4);
    if (version != 1 && version != 2)
        return OBLIQ_NEWER_FORMAT;
    if (length < before_stream(patch) + OBLIQ_DIGEST)
        return OBLIQ_DAMAGED;
    if (little(patch + 8, 8) <= floor)
        return OBLIQ_BELOW_FLOOR;
    return version == 2 && now != OBLIQ_NO_CLOCK && *now >= little(patch + PATCH_HEAD, 8) ? OBLIQ_EXPIRED
                                                                                          : OBLIQ_APPLIED;
}

enum obliq_answer obliq_patch_write(const uint8_t *patch, size_t patch_length, const uint8_t *base, size_t base_length,
                                    uint64_t floor, const uint64_t *now, const struct obliq_slot *slot)
{
    uint8_t digest[OBLIQ_DIGEST];
    uint32_t count;
    struct writer writer = {base, base_length, 0, 0, slot, 0};
    enum obliq_answer answer = check_patch(patch, patch_length, floor, now);
    if (answer == OBLIQ_APPLIED)
        answer = check_image(base, base_length, &count);
    if (answer != OBLIQ_APPLIED)
        return answer;
    digest_form(base, base_length, count, digest);
    if (memcmp(digest, patch + 16, OBLIQ_DIGEST) != 0)
        return OBLIQ_OTHER_NETWORK;
    digest_content(base, base_length, count, digest);
    if (memcmp(digest, patch + 48, OBLIQ_DIGEST) != 0)
        return OBLIQ_WRONG_BASE;
    if (slot->room < base_length || slot->page_size == 0)
        return OBLIQ_NO_ROOM;
    load(&writer);
    answer = follow(patch + before_stream(patch), patch_length - before_stream(patch) - OBLIQ_DIGEST,
                    little(patch + 112, 4), count, &writer);
    if (answer != OBLIQ_APPLIED)
        return answer;
    digest_content(slot->bytes, base_length, count, digest);
    return memcmp(digest, patch + 80, OBLIQ_DIGEST) == 0 ? OBLIQ_APPLIED : OBLIQ_WRONG_RESULT;
}

static int copy_page(void *context, size_t at, const uint8_t *page, size_t length)
{
    memcpy((uint8_t *)context + at, page, length);
    return 0;
}

enum obliq_answer obliq_patch_apply(const uint8_t *patch, size_t patch_length, const uint8_t *base, size_t base_length,
                                    uint64_t floor, const uint64_t *now, uint8_t *result, size_t room)
{
    uint8_t page[64 + OBLIQ_OVERHANG];
    struct obliq_slot slot = {result, room, page, 64, copy_page, result};
    enum obliq_answer answer = obliq_patch_write(patch, patch_length, base, base_length, floor, now, &slot);
    if (answer == OBLIQ_BAD_STREAM || answer == OBLIQ_WRONG_RESULT || answer == OBLIQ_BAD_IMAGE)
        memset(result, 0, base_length < room ? base_length : room);
    return answer;
}

static int is_signed(const struct obliq_signature *signature, const uint8_t *patch, size_t length)
{
    return signature != NULL && signature->verify != NULL && signature->bytes != NULL &&
           signature->verify(signature->context, patch, length, signature->bytes, signature->length) == 0;
}

enum obliq_answer obliq_patch_write_signed(const struct obliq_signature *signature, const uint8_t *patch,
                                           size_t patch_length, const uint8_t *base, size_t base_length,
                                           uint64_t floor, const uint64_t *now, const struct obliq_slot *slot)
{
    if (!is_signed(signature, patch, patch_length))
        return OBLIQ_NOT_SIGNED;
    return obliq_patch_write(patch, patch_length, base, base_length, floor, now, slot);
}

enum obliq_answer obliq_patch_apply_signed(const struct obliq_signature *signature, const uint8_t *patch,
                                           size_t patch_length, const uint8_t *base, size_t base_length,
                                           uint64_t floor, const uint64_t *now, uint8_t *result, size_t room)
{
    if (!is_signed(signature, patch, patch_length))
        return OBLIQ_NOT_SIGNED;
    return obliq_patch_apply(patch, patch_length, base, base_length, floor, now, result, room);
}

enum obliq_answer obliq_content_digest(const uint8_t *image, size_t length, uint8_t digest[OBLIQ_DIGEST])
{
    uint32_t count;
    enum obliq_answer answer = check_image(image, length, &count);
    if (answer == OBLIQ_APPLIED)
        digest_content(image, length, count, digest);
    return answer;
}

void obliq_sha256(const uint8_t *data, size_t length, uint8_t digest[OBLIQ_DIGEST])
{
    struct obliq_sha256 hash;
    obliq_sha256_start(&hash);
    obliq_sha256_add(&hash, data, length);
    obliq_sha256_finish(&hash, digest);
}
