// SPDX-License-Identifier: Apache-2.0
#include <polyvisor/format.h>

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/string.h>

enum {
    MAX_DIGITS = 20,     ///< of a 64-bit number in base 10
    MAX_WIDTH = 1 << 20, ///< wider fields are cut to this: a wrong width must not print for ever
    NO_PRECISION = -1,
};

enum length {
    LENGTH_INT,
    LENGTH_CHAR,
    LENGTH_SHORT,
    LENGTH_LONG,
    LENGTH_LONG_LONG,
    LENGTH_SIZE,
    LENGTH_MAX,
    LENGTH_PTRDIFF
};

/// Where text goes, and how much went there.
struct output {
    pv_sink *sink;
    void *context;
    size_t count;
};

/// One conversion specification: %[flags][width][.precision][length]conversion
struct spec {
    bool left, zero, plus, space, alternate;
    int width;
    int precision; ///< or NO_PRECISION
    enum length length;
    char conversion;
};

/// The va_list in a structure, so that a pointer to it can be passed on whatever type va_list is.
struct arguments {
    va_list list;
};

static void put(struct output *out, const char *text, size_t size)
{
    if (size > 0)
        out->sink(out->context, text, size);
    out->count += size;
}

static void pad(struct output *out, char with, size_t count)
{
    static const char spaces[] = "                ";
    static const char zeros[] = "0000000000000000";
    const char *source = with == '0' ? zeros : spaces;
    while (count > 0) {
        const size_t piece = count < sizeof(spaces) - 1 ? count : sizeof(spaces) - 1;
        put(out, source, piece);
        count -= piece;
    }
}

/// Prints text in a field of the specification's width.
static void put_field(struct output *out, const struct spec *spec, const char *text, size_t size)
{
    const size_t width = (size_t)spec->width;
    const size_t filling = width > size ? width - size : 0;
    if (!spec->left)
        pad(out, ' ', filling);
    put(out, text, size);
    if (spec->left)
        pad(out, ' ', filling);
}

/// Prints [prefix][zeros][digits] in a field of the specification's width.
static void put_number(struct output *out, const struct spec *spec, const char *prefix, const char *digits,
                       size_t count)
{
    const size_t prefix_size = strlen(prefix);
    const size_t width = (size_t)spec->width;
    size_t zeros = 0;
    if (spec->precision != NO_PRECISION) {
        zeros = (size_t)spec->precision > count ? (size_t)spec->precision - count : 0;
    } else if (spec->zero && !spec->left) {
        zeros = width > prefix_size + count ? width - prefix_size - count : 0;
    }
    const size_t size = prefix_size + zeros + count;
    const size_t filling = width > size ? width - size : 0;
    if (!spec->left)
        pad(out, ' ', filling);
    put(out, prefix, prefix_size);
    pad(out, '0', zeros);
    put(out, digits, count);
    if (spec->left)
        pad(out, ' ', filling);
}

/// Writes a number's digits so that they end at `end`; 0 has none when the precision is 0, as in C. Returns how many.
static size_t make_digits(char *end, uint64_t value, unsigned base, bool upper, bool no_zero)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t count = 0;
    if (value == 0 && !no_zero)
        end[-(ptrdiff_t)++count] = '0';
    for (; value != 0; value /= base)
        end[-(ptrdiff_t)++count] = digits[value % base];
    return count;
}

static int64_t signed_argument(struct arguments *args, enum length length)
{
    switch (length) {
    case LENGTH_CHAR:
        return (signed char)va_arg(args->list, int);
    case LENGTH_SHORT:
        return (short)va_arg(args->list, int);
    case LENGTH_LONG:
        return va_arg(args->list, long);
    case LENGTH_LONG_LONG:
        return va_arg(args->list, long long);
    case LENGTH_SIZE:
    case LENGTH_PTRDIFF:
        return va_arg(args->list, ptrdiff_t);
    case LENGTH_MAX:
        return va_arg(args->list, intmax_t);
    case LENGTH_INT:
        break;
    }
    return va_arg(args->list, int);
}

static uint64_t unsigned_argument(struct arguments *args, enum length length)
{
    switch (length) {
    case LENGTH_CHAR:
        return (unsigned char)va_arg(args->list, unsigned);
    case LENGTH_SHORT:
        return (unsigned short)va_arg(args->list, unsigned);
    case LENGTH_LONG:
        return va_arg(args->list, unsigned long);
    case LENGTH_LONG_LONG:
        return va_arg(args->list, unsigned long long);
    case LENGTH_SIZE:
    case LENGTH_PTRDIFF:
        return va_arg(args->list, size_t);
    case LENGTH_MAX:
        return va_arg(args->list, uintmax_t);
    case LENGTH_INT:
        break;
    }
    return va_arg(args->list, unsigned);
}

static void convert_signed(struct output *out, const struct spec *spec, struct arguments *args)
{
    char buffer[MAX_DIGITS];
    char *end = buffer + sizeof(buffer);
    const int64_t value = signed_argument(args, spec->length);
    const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    const size_t count = make_digits(end, magnitude, 10, false, spec->precision == 0);
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";
    put_number(out, spec, sign, end - count, count);
}

static void convert_unsigned(struct output *out, const struct spec *spec, struct arguments *args)
{
    char buffer[MAX_DIGITS];
    char *end = buffer + sizeof(buffer);
    const uint64_t value = unsigned_argument(args, spec->length);
    const bool upper = spec->conversion == 'X';
    const unsigned base = spec->conversion == 'u' ? 10 : 16;
    const size_t count = make_digits(end, value, base, upper, spec->precision == 0);
    const char *prefix = base == 16 && spec->alternate && value != 0 ? (upper ? "0X" : "0x") : "";
    put_number(out, spec, prefix, end - count, count);
}

static void convert_pointer(struct output *out, const struct spec *spec, struct arguments *args)
{
    char buffer[MAX_DIGITS];
    char *end = buffer + sizeof(buffer);
    const size_t count = make_digits(end, (uintptr_t)va_arg(args->list, void *), 16, false, false);
    put_number(out, spec, "0x", end - count, count);
}

static void convert_string(struct output *out, const struct spec *spec, struct arguments *args)
{
    const char *text = va_arg(args->list, const char *);
    if (text == NULL)
        text = "(null)";
    const size_t limit = spec->precision == NO_PRECISION ? SIZE_MAX : (size_t)spec->precision;
    put_field(out, spec, text, pv_strnlen(text, limit));
}

/// Performs one conversion. False when it is not a known one.
static bool convert(struct output *out, const struct spec *spec, struct arguments *args)
{
    switch (spec->conversion) {
    case 'd':
    case 'i':
        convert_signed(out, spec, args);
        return true;
    case 'u':
    case 'x':
    case 'X':
        convert_unsigned(out, spec, args);
        return true;
    case 'p':
        convert_pointer(out, spec, args);
        return true;
    case 's':
        convert_string(out, spec, args);
        return true;
    case 'c': {
        const char c = (char)va_arg(args->list, int);
        put_field(out, spec, &c, 1);
        return true;
    }
    case '%':
        put(out, "%", 1);
        return true;
    default:
        return false;
    }
}

static const char *parse_flags(const char *at, struct spec *spec)
{
    for (;; at++) {
        switch (*at) {
        case '-':
            spec->left = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return at;
        }
    }
}

/// Reads a decimal number or '*', which takes an argument.
static const char *parse_count(const char *at, int *count, struct arguments *args)
{
    if (*at == '*') {
        *count = va_arg(args->list, int);
        return at + 1;
    }
    *count = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (*count < MAX_WIDTH)
            *count = *count * 10 + (*at - '0');
    return at;
}

static const char *parse_length(const char *at, enum length *length)
{
    static const struct {
        char letter;
        enum length once, twice;
    } letters[] = {
        {'h', LENGTH_SHORT, LENGTH_CHAR}, {'l', LENGTH_LONG, LENGTH_LONG_LONG}, {'z', LENGTH_SIZE, LENGTH_INT},
        {'j', LENGTH_MAX, LENGTH_INT},    {'t', LENGTH_PTRDIFF, LENGTH_INT},
    };
    *length = LENGTH_INT;
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
        if (*at != letters[i].letter)
            continue;
        if (at[1] == *at && letters[i].twice != LENGTH_INT) {
            *length = letters[i].twice;
            return at + 2;
        }
        *length = letters[i].once;
        return at + 1;
    }
    return at;
}

/// Parses what follows a '%', up to and with the conversion letter.
static const char *parse_spec(const char *at, struct spec *spec, struct arguments *args)
{
    *spec = (struct spec){.precision = NO_PRECISION};
    at = parse_flags(at, spec);
    at = parse_count(at, &spec->width, args);
    if (spec->width < 0) { // only through '*': a left-adjusted field, as in C
        spec->left = true;
        spec->width = spec->width < -MAX_WIDTH ? MAX_WIDTH : -spec->width;
    }
    if (*at == '.') {
        at = parse_count(at + 1, &spec->precision, args);
        if (spec->precision < 0)
            spec->precision = NO_PRECISION;
    }
    if (spec->width > MAX_WIDTH)
        spec->width = MAX_WIDTH;
    // A string's precision is only a limit; a number's would be printed.
    at = parse_length(at, &spec->length);
    spec->conversion = *at;
    if (spec->conversion != 's' && spec->precision > MAX_WIDTH)
        spec->precision = MAX_WIDTH;
    return *at == '\0' ? at : at + 1;
}

size_t pv_vformat(pv_sink *sink, void *context, const char *format, va_list args)
{
    struct output out = {.sink = sink, .context = context};
    struct arguments arguments;
    va_copy(arguments.list, args);
    while (*format != '\0') {
        const char *percent = pv_strchr(format, '%');
        const char *end = percent != NULL ? percent : format + strlen(format);
        put(&out, format, (size_t)(end - format));
        if (percent == NULL)
            break;
        struct spec spec;
        format = parse_spec(percent + 1, &spec, &arguments);
        if (!convert(&out, &spec, &arguments))
            put(&out, percent, (size_t)(format - percent));
    }
    va_end(arguments.list);
    return out.count;
}

size_t pv_format(pv_sink *sink, void *context, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t count = pv_vformat(sink, context, format, args);
    va_end(args);
    return count;
}

/// What is left of a caller's buffer, with a byte kept for the NUL.
struct bounded {
    char *next;
    size_t room;
};

static void bounded_sink(void *context, const char *text, size_t size)
{
    struct bounded *to = context;
    const size_t taken = size < to->room ? size : to->room;
    if (taken == 0) // also with no buffer at all
        return;
    memcpy(to->next, text, taken);
    to->next += taken;
    to->room -= taken;
}

size_t pv_vsnprintf(char *buffer, size_t size, const char *format, va_list args)
{
    struct bounded to = {.next = buffer, .room = size > 0 ? size - 1 : 0};
    const size_t count = pv_vformat(bounded_sink, &to, format, args);
    if (size > 0)
        *to.next = '\0';
    return count;
}

size_t pv_snprintf(char *buffer, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t count = pv_vsnprintf(buffer, size, format, args);
    va_end(args);
    return count;
}
