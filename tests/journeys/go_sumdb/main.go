// Checks a published log with Go's own code for transparency logs (golang.org/x/mod/sumdb/note and tlog), which knows
// nothing of ours: the Ed25519 line of the checkpoint, every tile, and proofs that we made against proofs that it makes.
//
//	go_sumdb DIR VKEY < questions.json
//
// DIR holds checkpoint and tile/. The first thing that does not hold ends it with status 1 and one line.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// questions are what we claim about the log in DIR. All bytes are base64.
type questions struct {
	Leaves    [][]byte    // the first Merkle tree leaves, from index 0 on
	Inclusion []inclusion // RFC 6962 audit paths
	Older     []older     // consistency with older heads
}

type inclusion struct {
	Index int64
	Hash  []byte
	Path  [][]byte
}

type older struct {
	Size int64
	Root []byte
	Path [][]byte
}

// height is that of static-ct tiles; tlog puts it into the path, static-ct does not.
const height = 8

type tileDir string

func (dir tileDir) Height() int { return height }

func (dir tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(dir), filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (dir tileDir) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	if err := check(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func check(dir, vkey string) error {
	var ask questions
	if err := json.NewDecoder(os.Stdin).Decode(&ask); err != nil {
		return err
	}
	tree, err := openCheckpoint(dir, vkey)
	if err != nil {
		return fmt.Errorf("checkpoint: %v", err)
	}
	reader := tlog.TileHashReader(tree, tileDir(dir))
	for index, leaf := range ask.Leaves {
		proof, err := tlog.ProveRecord(tree.N, int64(index), reader)
		if err != nil {
			return fmt.Errorf("leaf %d: %v", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(leaf)); err != nil {
			return fmt.Errorf("leaf %d: %v", index, err)
		}
	}
	for _, claim := range ask.Inclusion {
		if err := checkInclusion(tree, reader, claim); err != nil {
			return fmt.Errorf("inclusion of %d: %v", claim.Index, err)
		}
	}
	for _, claim := range ask.Older {
		if err := checkOlder(tree, reader, claim); err != nil {
			return fmt.Errorf("consistency with %d: %v", claim.Size, err)
		}
	}
	fmt.Printf("good: %d entries, %d leaves, %d audit paths, %d older heads\n",
		tree.N, len(ask.Leaves), len(ask.Inclusion), len(ask.Older))
	return nil
}

func openCheckpoint(dir, vkey string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	if len(signed.Sigs) != 1 || len(signed.UnverifiedSigs) != 1 {
		return tree, fmt.Errorf("%d known and %d unknown signatures", len(signed.Sigs), len(signed.UnverifiedSigs))
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), signed.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// checkInclusion: our path leads to the root by tlog's arithmetic, and is the path that tlog makes from our tiles.
func checkInclusion(tree tlog.Tree, reader tlog.HashReader, claim inclusion) error {
	ours := toHashes(claim.Path)
	if err := tlog.CheckRecord(ours, tree.N, tree.Hash, claim.Index, tlog.Hash(claim.Hash)); err != nil {
		return err
	}
	theirs, err := tlog.ProveRecord(tree.N, claim.Index, reader)
	if err != nil {
		return err
	}
	if !slices.Equal(tlog.RecordProof(ours), theirs) {
		return fmt.Errorf("our path is not theirs: %v, %v", ours, theirs)
	}
	return nil
}

func checkOlder(tree tlog.Tree, reader tlog.HashReader, claim older) error {
	ours := toHashes(claim.Path)
	if err := tlog.CheckTree(ours, tree.N, tree.Hash, claim.Size, tlog.Hash(claim.Root)); err != nil {
		return err
	}
	theirs, err := tlog.ProveTree(tree.N, claim.Size, reader)
	if err != nil {
		return err
	}
	if !slices.Equal(tlog.TreeProof(ours), theirs) {
		return fmt.Errorf("our proof is not theirs: %v, %v", ours, theirs)
	}
	return nil
}

func toHashes(path [][]byte) []tlog.Hash {
	var hashes []tlog.Hash
	for _, hash := range path {
		hashes = append(hashes, tlog.Hash(hash))
	}
	return hashes
}
