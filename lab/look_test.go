package lab

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Who asks while a look is under way gets the answer of the next one, which is one for all.
func TestLookIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, truth := 0, false
		k := newLook(func() bool {
			looks++
			found := truth
			time.Sleep(time.Millisecond)
			return found
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if k.now() {
				t.Error("the first look said yes")
			}
		})
		synctest.Wait()
		truth = true
		time.Sleep(time.Millisecond + pauseAfter(time.Millisecond))
		synctest.Wait()
		wg.Go(func() { k.now() })
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if !k.now() {
					t.Error("one who asked later heard no")
				}
			})
		}
		wg.Wait()
		if looks != 3 {
			t.Errorf("there were %d looks; want 3", looks)
		}
	})
}

// After a no there is a pause, which is bounded, in which the answer stays.
func TestLookPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		k := newLook(func() bool {
			looks++
			time.Sleep(time.Second)
			return false
		})
		k.now()
		k.now()
		time.Sleep(lookPauseMax)
		k.now()
		if looks != 2 {
			t.Errorf("there were %d looks; want 2", looks)
		}
	})
}
