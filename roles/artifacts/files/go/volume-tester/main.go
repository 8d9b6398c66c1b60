// Volume-tester writes to a volume as a careful program does, and says what it got for it.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const mib = 1 << 20

// block is the same for the same seed, and compresses badly.
func block(seed int) []byte {
	data := make([]byte, 0, mib)
	for sum := sha256.Sum256([]byte(strconv.Itoa(seed))); len(data) < mib; sum = sha256.Sum256(sum[:]) {
		data = append(data, sum[:]...)
	}
	return data
}

// write fills a file, has it on disk, and answers with its checksum and how fast that was.
func write(path string, count int) (map[string]any, error) {
	blocks := make([][]byte, count)
	for i := range blocks {
		blocks[i] = block(i)
	}
	sum, began := sha256.New(), time.Now()
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for _, data := range blocks {
		if _, err := file.Write(data); err != nil {
			return nil, err
		}
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	seconds := time.Since(began).Seconds()
	for _, data := range blocks {
		sum.Write(data)
	}
	return map[string]any{"sha256": hex.EncodeToString(sum.Sum(nil)), "mb_s": float64(count) * mib / 1e6 / seconds}, nil
}

// read answers with a file's checksum and how fast it came.
func read(path string) (map[string]any, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum, began := sha256.New(), time.Now()
	size, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{file}, make([]byte, mib))
	if err != nil {
		return nil, err
	}
	return map[string]any{"sha256": hex.EncodeToString(sum.Sum(nil)), "mb_s": float64(size) / 1e6 / time.Since(began).Seconds()}, nil
}

// latency asks how long a small write takes until it is on disk, as a database's log does.
func latency(path string, count int) (map[string]any, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, took := block(0)[:4096], make([]float64, count)
	for i := range took {
		began := time.Now()
		if _, err := file.Write(data); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		took[i] = time.Since(began).Seconds() * 1000
	}
	sort.Float64s(took)
	return map[string]any{"p50_ms": took[count/2], "p99_ms": took[count*99/100]}, nil
}

// fill writes until there is no more room, and gives the room back.
func fill(folder string, most int) (map[string]any, error) {
	path := filepath.Join(folder, "fill")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer file.Close()
	data := block(0)
	for i := 0; i < most; i++ {
		_, err = file.Write(data)
		if err == nil && i%16 == 15 {
			err = file.Sync()
		}
		if err != nil {
			full := errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.ENOSPC)
			return map[string]any{"mib": i, "full": full, "error": err.Error()}, nil
		}
	}
	return map[string]any{"mib": most, "full": false, "error": ""}, nil
}

// log writes numbered lines for ever, and says each number only when its line is on disk.
func log(path string) (map[string]any, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	for number := 0; ; number++ {
		if _, err := fmt.Fprintf(file, "%d\n", number); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		fmt.Println(number)
		time.Sleep(20 * time.Millisecond)
	}
}

// logged answers with the last number of a log that lacks none.
func logged(path string) (map[string]any, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	last, lines := -1, bufio.NewScanner(file)
	for lines.Scan() {
		number, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil || number != last+1 {
			return map[string]any{"last": last, "then": lines.Text()}, nil
		}
		last = number
	}
	return map[string]any{"last": last, "then": ""}, lines.Err()
}

// within becomes a program of another root: of the node, with the volume somewhere below.
func within(root string, argv []string) (map[string]any, error) {
	if len(argv) == 0 {
		return nil, errors.New("no program is named")
	}
	if err := syscall.Chroot(root); err != nil {
		return nil, err
	}
	if err := os.Chdir("/"); err != nil {
		return nil, err
	}
	return nil, syscall.Exec(argv[0], argv, []string{"PATH=/usr/bin:/bin"})
}

func main() {
	if len(os.Args) < 3 {
		// A pod in which the commands below are executed.
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		return
	}
	path, count := os.Args[2], 0
	if len(os.Args) > 3 {
		count, _ = strconv.Atoi(os.Args[3])
	}
	answer, err := map[string]any(nil), fmt.Errorf("there is no command %s", os.Args[1])
	switch os.Args[1] {
	case "write":
		answer, err = write(path, count)
	case "read":
		answer, err = read(path)
	case "latency":
		answer, err = latency(path, count)
	case "fill":
		answer, err = fill(path, count)
	case "log":
		answer, err = log(path)
	case "logged":
		answer, err = logged(path)
	case "within":
		answer, err = within(path, os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(answer)
}
