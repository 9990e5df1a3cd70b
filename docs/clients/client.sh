#!/bin/sh
# A client for the protocol in docs/protocol.md and a server at "mario". It needs flock(1) and gzip(1).
# Each line of stdin is one message, sent in one frame. Each reply is printed as one line.
# The client has no deadline, does not retry after its HELLO, and does not check the CRC of incoming frames.
# It does not implement masks: it sends no frame that needs one, and accepts none that has one.
nonce=$(od -An -N8 -tx1 /dev/urandom | tr -d ' ') private=mario.client.$$.$nonce none=00000000 sequence=0

hex() { od -An -v -tx1 | tr -d ' \n'; }
octal() { printf '\\%03o' $(printf %s "$1" | sed 's/../0x& /g'); }
crc32() { printf "$(octal "$1")" | gzip | tail -c 8 | od -An -N4 -tx1 | awk '{ print $4 $3 $2 $1 }'; }
frame() { # prints a frame as printf(1) escapes; arguments in hex digits: kind, session, sequence, payload
    fields=$1$(printf 00%04x $((${#4} / 2)))0000$2$3
    content=$(crc32 "$fields$4")$fields$4
    case 0000$content in *00574b50*) echo "client.sh: not sent, since it needs a mask" >&2; return 1 ;; esac
    octal "00574b500000${content}0a"
}
send() { printf "$1" | dd obs=4096 >&4 2>/dev/null; } # in one write
receive() { # reads one frame of this kind, and prints its payload and its end byte, a newline
    head=$(od -An -v -N28 -tx1 <&3 | tr -d ' \n')
    case $head in 00574b500000????????$1*) ;; *) echo "client.sh: no answer: ${head:-the server has gone}" >&2; exit 1 ;; esac
    length=$(printf %s "$head" | cut -c 25-28)
    dd bs=1 count=$((0x$length + 1)) <&3 2>/dev/null
}

hello=$(frame 01 "$nonce" $none "0002$(printf %s "$private" | hex)") || exit
mkfifo -m 600 "$private" && trap 'rm -f "$private"' EXIT && exec 3<>"$private" || exit             # step 3
until [ -p mario ] && exec 4>mario && flock -sn 4 && [ mario -ef /dev/fd/4 ] && send "$hello"; do   # step 4
    sleep 1
done
flock -u 4
ack=$(receive 02 | hex)                                                                            # step 5
[ -n "$ack" ] && exec 3<"$private" && rm "$private" || exit 1                                      # step 8
session=$(echo "$ack" | cut -c 1-16) upstream=$(echo "${ack%0a}" | cut -c 41-)
[ -z "$upstream" ] || exec 4>"$(printf "$(octal "$upstream")")"
ready=$(frame 03 "$session" $none "") && bye=$(frame 07 "$session" $none "") && send "$ready" || exit
while IFS= read -r line; do
    request=$(frame 04 "$session" "$(printf %08x $((sequence + 1)))" "$(printf %s "$line" | hex)") || continue
    sequence=$((sequence + 1))
    send "$request"
    receive 05
done
send "$bye"
