#!/bin/sh
# A client of the course, for a server at "mario" or another name: a line of stdin is a message, a reply is a line.
wkp=${1:-mario}
receive() { dd bs=1000 count=1 <&4 2>/dev/null | tr -d '\0'; }
[ -p "$wkp" ] && mkfifo -m 600 $$ && trap 'rm -f $$' EXIT || exit                 # step 3
exec 3>"$wkp" && printf '%s\0' $$ >&3                                             # step 4
exec 4<$$ && ack=$(receive) && rm $$                                              # steps 5 and 8
[ -n "$ack" ] && printf 'HOLA\0\0\0\0\0\0' >&3 || exit
while IFS= read -r line; do
    printf '%s\0' "$line" >&3 && receive && echo
done
