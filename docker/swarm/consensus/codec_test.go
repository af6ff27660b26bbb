package consensus

import (
	"bytes"
	"reflect"
	"testing"

	pb "go.etcd.io/etcd/raft/v3/raftpb"
)

func FuzzDecodeLetter(f *testing.F) {
	m := pb.Message{Type: pb.MsgApp, From: 1, To: 2, Entries: []pb.Entry{{Data: []byte("x")}}}
	b, err := letter{From: Member{RaftID: 1, Node: "m1", Addr: "192.168.1.1:2377"}, messages: []pb.Message{m, m}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0, 0, 0, 2, '{', '}', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLetter(b)
		if err != nil {
			return
		}
		again, err := l.encode()
		if err != nil {
			t.Fatalf("encode = %v", err)
		}
		back, err := decodeLetter(again)
		if err != nil || back.From != l.From || len(back.messages) != len(l.messages) {
			t.Errorf("parsed twice: %+v, %v; want %+v", back, err, l)
		}
	})
}

func FuzzDecodeEnvelope(f *testing.F) {
	b, err := envelope{Members: []Member{{RaftID: 1, Node: "m1"}}, Removed: []uint64{7}, State: []byte("state")}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEnvelope(b)
		if err != nil {
			return
		}
		again, err := e.encode()
		if err != nil {
			t.Fatalf("encode = %v", err)
		}
		if back, err := decodeEnvelope(again); err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("parsed twice: %+v, %v; want %+v", back, err, e)
		}
	})
}

func TestTicket(t *testing.T) {
	want := ticket{member: 1 << 60, seq: 3}
	if got, command, ok := splitTicket(want.before([]byte("x"))); !ok || got != want || !bytes.Equal(command, []byte("x")) {
		t.Errorf("splitTicket = %v, %q, %v; want %v", got, command, ok, want)
	}
	if _, _, ok := splitTicket(make([]byte, ticketSize-1)); ok {
		t.Error("splitTicket of too little = true")
	}
	if _, _, err := decodeAccepted(make([]byte, 7)); err == nil {
		t.Error("decodeAccepted of too little = nil")
	}
}
