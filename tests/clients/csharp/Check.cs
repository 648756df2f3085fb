// Runs clients/csharp/HandMap.cs for the tests, as tests/clients/c/check.c does for C: the same files, the same lines.
//   Check golden FILE | Check decode FILE | Check state FILE HAS_KEY STALE HOLD RELAX ENGAGE
//   Check allocated FILE COUNT   bytes that COUNT rounds of reading, writing and following allocate

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text;
using HandMap;

public static class Check
{
    private static readonly KeyRing Keys = new KeyRing("000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F");
    private static readonly Packet Packet = new Packet();
    private static readonly ControlMessage Control = new ControlMessage();
    private static readonly byte[] Again = new byte[Wire.MaxBytes];
    private static readonly StringBuilder Out = new StringBuilder();
    private static int failures;

    public static int Main(string[] arguments)
    {
        if (arguments.Length == 2 && arguments[0] == "golden") Golden(arguments[1]);
        else if (arguments.Length == 2 && arguments[0] == "decode") Decode(arguments[1]);
        else if (arguments.Length == 7 && arguments[0] == "state") Follow(arguments);
        else if (arguments.Length == 3 && arguments[0] == "allocated") Allocated(arguments[1], int.Parse(arguments[2]));
        else return 64;
        Console.Out.Write(Out.ToString());
        return failures > 0 ? 1 : 0;
    }

    private static void Expect(bool isSo, string name, string what)
    {
        if (isSo) return;
        failures++;
        Out.Append(name + ": " + what + "\n");
    }

    private static byte[] FromHex(string text)
    {
        var data = new byte[text.Length / 2];
        for (int i = 0; i < data.Length; i++) data[i] = Convert.ToByte(text.Substring(2 * i, 2), 16);
        return data;
    }

    private static void Hex(byte[] data, int size)
    {
        for (int i = 0; i < size; i++) Out.Append(data[i].ToString("x2"));
    }

    private static void Floats(params float[] values)
    {
        foreach (float value in values) Out.Append(' ').Append(BitConverter.ToUInt32(BitConverter.GetBytes(value), 0).ToString("x8"));
    }

    private static Error Read(char kind, byte[] data, int size, out bool isSame, out Error encoded, out int againBytes)
    {
        KeyRing keys = char.IsLower(kind) ? Keys : null;
        bool isPacket = char.ToUpperInvariant(kind) == 'P';
        encoded = Error.Ok;
        againBytes = 0;
        Error error = isPacket ? Wire.Decode(data, size, keys, Packet) : Wire.DecodeControl(data, size, keys, Control);
        if (error == Error.Ok)
            encoded = isPacket ? Wire.Encode(Packet, keys, Again, out againBytes)
                               : Wire.EncodeControl(Control, keys, Again, out againBytes);
        isSame = error == Error.Ok && againBytes == size;
        for (int i = 0; i < size && isSame; i++) isSame = Again[i] == data[i];
        return error;
    }

    private static void Golden(string path)
    {
        int datagrams = 0, againBytes;
        long refused = 0;
        bool isSame;
        Error encoded;
        foreach (string line in File.ReadAllLines(path))
        {
            string name = line.Substring(0, line.IndexOf(' '));
            byte[] data = FromHex(line.Substring(name.Length + 1));
            bool isSealed = name.StartsWith("sealed_", StringComparison.Ordinal);
            char kind = Wire.IsControl(data, data.Length) ? 'C' : 'P';
            if (isSealed) kind = char.ToLowerInvariant(kind);
            Expect(Read(kind, data, data.Length, out isSame, out encoded, out againBytes) == Error.Ok, name, "not read");
            Expect(isSame, name, "not written again");
            for (int cut = 0; cut < data.Length; cut++, refused++)
                Expect(Read(kind, data, cut, out isSame, out encoded, out againBytes) != Error.Ok, name, "cut and accepted");
            for (int bit = 0; bit < 8 * data.Length; bit++, refused++)
            {
                var changed = (byte[])data.Clone();
                changed[bit / 8] ^= (byte)(1 << bit % 8);
                Expect(Read(kind, changed, data.Length, out isSame, out encoded, out againBytes) != Error.Ok, name, "flipped and accepted");
                if (!isSealed || bit >= 8 * (data.Length - 4)) continue;
                uint crc = Wire.Crc32(changed, data.Length - 4);
                for (int i = 0; i < 4; i++) changed[data.Length - 4 + i] = (byte)(crc >> 8 * i);
                Expect(Read(kind, changed, data.Length, out isSame, out encoded, out againBytes) != Error.Ok, name, "forged and accepted");
            }
            datagrams++;
        }
        Out.Append("golden " + datagrams + " refused " + refused + " failures " + failures + "\n");
    }

    private static void Decode(string path)
    {
        byte[] all = File.ReadAllBytes(path);
        for (int at = 0; at < all.Length;)
        {
            int length = all[at + 1] | all[at + 2] << 8, againBytes;
            var data = new byte[length];
            Array.Copy(all, at + 3, data, 0, length);
            bool isSame;
            Error encoded, error = Read((char)all[at], data, length, out isSame, out encoded, out againBytes);
            if (error != Error.Ok) Out.Append("refused ").Append((int)error);
            else
            {
                if (char.ToUpperInvariant((char)all[at]) == 'P') Print(Packet);
                else Print(Control);
                Out.Append(" again ").Append((int)encoded).Append(' ');
                Hex(Again, againBytes);
            }
            Out.Append('\n');
            at += 3 + length;
        }
    }

    private static void Print(Packet p)
    {
        Out.Append("packet ").Append(string.Join(" ", p.Minor, (int)p.MessageType, (int)p.State, (int)p.Precision, 1,
            (int)p.FrameOfReference, 1, (int)p.TimestampSource, p.Compatible, p.Part, p.PartCount, p.ControlPort, p.StreamId,
            p.Sequence, p.FrameNumber, p.CaptureNs, p.PublishNs, ""));
        Hex(p.BundleId, 8);
        for (int i = 0; i < p.HandCount; i++) Print(p.Hands[i]);
    }

    private static void Print(Hand hand)
    {
        Out.Append(" hand " + hand.TrackId + " " + (int)hand.Handedness + " " + (int)hand.Flags);
        Floats(hand.HandednessConfidence, hand.Confidence);
        for (int i = 0; i < Wire.Joints; i++)
            Floats(hand.XyzM[3 * i], hand.XyzM[3 * i + 1], hand.XyzM[3 * i + 2], hand.ExpectedErrorM[i]);
        if (!hand.HasSkeleton) return;
        Skeleton skeleton = hand.Skeleton;
        Out.Append(" skeleton ").Append(skeleton.IsSizeHeld ? 1 : 0);
        Floats(skeleton.Quaternions);
        Floats(skeleton.AnglesRad);
        Floats(skeleton.PinchStrength);
        foreach (bool isPinching in skeleton.IsPinching) Out.Append(isPinching ? " 1" : " 0");
        Floats(skeleton.GraspClosure, skeleton.HandLengthM, skeleton.HandLengthErrorM);
    }

    private static void Print(ControlMessage control)
    {
        Out.Append("control ").Append(string.Join(" ", (int)control.MessageType, (int)control.Status, control.LeaseS,
            control.StreamId, control.Nonce, ""));
        Hex(control.Token, 16);
        Out.Append(" " + control.ClientNs + " " + control.ReceivedNs + " " + control.SentNs + " [");
        Hex(control.Info, control.InfoBytes);
        Out.Append(']');
    }

    private static string Nine(double value)
    {
        return " " + value.ToString("F9", CultureInfo.InvariantCulture);
    }

    private static void Follow(string[] arguments)
    {
        byte[] all = File.ReadAllBytes(arguments[1]);
        bool hasKey = arguments[2] == "1";
        var times = new List<double>();
        for (int i = 3; i < 7; i++) times.Add(double.Parse(arguments[i], CultureInfo.InvariantCulture));
        var streams = new Streams(hasKey);
        var frame = new Frame();
        var clock = new ClockOffset();
        var states = new HandState[3];
        for (int i = 0; i < 3; i++) states[i] = new HandState((Handedness)i, times[0], times[1], times[2], times[3]);
        for (int at = 0; at < all.Length;)
        {
            char kind = (char)all[at];
            long nowNs = BitConverter.ToInt64(all, at + 1), ahead, error;
            var data = new byte[all[at + 9] | all[at + 10] << 8];
            Array.Copy(all, at + 11, data, 0, data.Length);
            at += 11 + data.Length;
            if (kind == 'v') streams.Prove((uint)nowNs);
            else if (kind == 'c')
            {
                if (Wire.DecodeControl(data, data.Length, null, Control) != Error.Ok) throw new InvalidDataException();
                clock.See(Control, nowNs);
            }
            else if (kind == 'p')
            {
                if (Wire.Decode(data, data.Length, hasKey ? Keys : null, Packet) != Error.Ok) throw new InvalidDataException();
                if (streams.Take(Packet, nowNs) && frame.Join(Packet))
                    foreach (HandState state in states) state.See(Packet, frame.Hands, frame.HandCount, nowNs);
                Out.Append("counts ").Append(string.Join(" ", streams.Received, streams.Lost, streams.Late, streams.Repeated,
                    streams.Restarts, streams.Unproven, frame.Incomplete)).Append('\n');
            }
            else
            {
                Out.Append("hands");
                foreach (HandState state in states)
                {
                    if (!state.At(nowNs)) Out.Append(" none");
                    else
                        Out.Append(" " + (int)state.Phase + Nine(state.Engagement) + Nine(state.AgeS) + " " + state.Epoch + " " +
                                   state.Hand.TrackId + Nine(state.XyzM[0]) + Nine(state.XyzM[22]) + Nine(state.XyzM[62]));
                }
                Out.Append(clock.Ahead(nowNs, out ahead, out error) ? Nine(ahead / 1e9) + Nine(error / 1e9) : " unknown").Append('\n');
            }
        }
    }

    private static void Allocated(string path, int count)
    {
        var datagrams = new List<byte[]>();
        foreach (string line in File.ReadAllLines(path))
            if (line.StartsWith("two_skeletons ", StringComparison.Ordinal) || line.StartsWith("sealed_left", StringComparison.Ordinal))
                datagrams.Add(FromHex(line.Substring(line.IndexOf(' ') + 1)));
        var streams = new Streams(false);
        var frame = new Frame();
        var state = new HandState(Handedness.Unknown);
        long before = 0, nowNs = 0;
        int size;
        double decodeNs = 0, encodeNs = 0;
        for (int round = -1000; round < count; round++)
        {
            if (round == 0) before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < datagrams.Count; i++)
            {
                KeyRing keys = i == 0 ? null : Keys;
                long start = Stopwatch.GetTimestamp();
                Expect(Wire.Decode(datagrams[i], datagrams[i].Length, keys, Packet) == Error.Ok, "allocated", "not read");
                long between = Stopwatch.GetTimestamp();
                Expect(Wire.Encode(Packet, keys, Again, out size) == Error.Ok, "allocated", "not written");
                if (i == 0 && round >= 0)
                {
                    decodeNs += (between - start) * 1e9 / Stopwatch.Frequency;
                    encodeNs += (Stopwatch.GetTimestamp() - between) * 1e9 / Stopwatch.Frequency;
                }
                Packet.Sequence = (uint)round;
                if (streams.Take(Packet, nowNs += 1000000) && frame.Join(Packet)) state.See(Packet, frame.Hands, frame.HandCount, nowNs);
                Expect(state.At(nowNs), "allocated", "not followed");
            }
        }
        Out.Append("allocated " + (GC.GetAllocatedBytesForCurrentThread() - before));
        Out.Append(" decode_ns " + (long)(decodeNs / count) + " encode_ns " + (long)(encodeNs / count) + "\n");
    }
}
