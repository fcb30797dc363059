#!/usr/bin/env bash
# The main job on small inputs: index a genome, align real pairs, align pairs with known origin, evaluate.
# Prints every command that it runs. Everything it writes is under demo_out/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=demo_out
genome=data/ecoli_K12_MG1655_NC_000913.3.fa.gz
real=data/ecoli_DSM30083_SRR3927310_PE76
known=data/ecoli_K12_MG1655_dwgsim_PE150
threads=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

say() { printf '\n# %s\n' "$*"; }
# Echo a command as one would type it, then run it.
run() {
    local word line='$'
    for word in "$@"; do
        [[ $word == *[!a-zA-Z0-9_./=+-]* ]] && word="'$word'"
        line+=" $word"
    done
    printf '%s\n' "$line"
    "$@"
}

rm -rf "$out"
mkdir -p "$out"
began=$SECONDS

say "1. Index E. coli K-12 MG1655 (4.6 million bases)." \
    "The first run compiles the kernels, one to two minutes; they are kept for the next."
run esa index "$genome" -o "$out/MG1655.esa" -t "$threads"

say "2. Align 10,000 real pairs of 2x76. They are of another strain, DSM 30083, so some have no place here."
run esa align "$out/MG1655.esa" "${real}_R1.fq.gz" "${real}_R2.fq.gz" -t "$threads" \
    -R '@RG\tID:SRR3927310\tSM:DSM30083\tPL:ILLUMINA' -o "$out/DSM30083.bam"

say "3. Align 10,000 simulated pairs of 2x150, 0.6 % away from the genome; each name holds the read's origin."
run esa align "$out/MG1655.esa" "${known}_R1.fq.gz" "${known}_R2.fq.gz" -t "$threads" \
    -R '@RG\tID:simulated\tSM:MG1655' -o "$out/simulated.bam"

say "4. Evaluate: how many reads are mapped, and how many simulated ones are back where they came from."
run esa eval "DSM30083=$out/DSM30083.bam" --truth none --json "$out/DSM30083.json" >"$out/report.txt"
run esa eval "simulated=$out/simulated.bam" --json "$out/simulated.json" >>"$out/report.txt"
grep '^\$' "$out/report.txt"

printf '\n'
python -m scripts.demo.table "real, another strain=$out/DSM30083.json" \
    "simulated, 0.6 % away=$out/simulated.json"

say "Done in $((SECONDS - began)) s. Written:"
printf '%s\n' "  $out/MG1655.esa       the index" \
    "  $out/DSM30083.bam     real reads, aligned" \
    "  $out/simulated.bam    simulated reads, aligned" \
    "  $out/report.txt       the evaluation in full: by mapping quality" \
    "  $out/DSM30083.json    the same figures for programs" \
    "  $out/simulated.json"
